"""The vendor's server, which holds a service key and corrects usage."""

import os
import subprocess
import sys

from .context import Journey
from .report import TIMEOUT_SECONDS, Report, expect

EVENTS = "/api/usage/events"


def report_usage(journey: Journey, report: Report) -> bool:
    offer = journey.offer
    correction = {"feature": offer.quota, "amount": -1, "reason": "counted for work that was not done"}

    def create() -> str:
        command = [sys.executable, "manage.py", "create_service_key", "Tour"]
        environment = {**os.environ, **journey.world.environment}
        process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True)
        journey.service_key = process.stdout.strip()
        return f"{journey.service_key[:18]}... printed once by manage.py create_service_key"

    def refused() -> str:
        answer = journey.api.call("POST", EVENTS, correction)
        problem = answer.json()
        expect(answer.status_code == 403 and problem["code"] == "service_key_required", f"answered {answer.status_code} {answer.text}")
        return f"403 {problem['code']}: {problem['detail']}"

    def corrected() -> str:
        body = {**correction, "organizationId": journey.organization["id"]}
        answer = journey.api.call("POST", EVENTS, body, key=journey.service_key, base=journey.world.gate_url)
        expect(answer.status_code == 200 and answer.json()["accepted"] == 1, f"answered {answer.status_code} {answer.text}")
        again = journey.api.call("POST", "/api/usage/authorize", {"feature": offer.quota})
        expect(again.status_code == 200 and again.json()["used"] == offer.limit, f"answered {again.status_code} {again.text}")
        return f"{offer.limit - 1} of {offer.limit} counted after the correction, so one more call passes"

    return (
        report.step("create a service key for the vendor's own server", create)
        and report.step("the customer's key cannot correct its usage", refused)
        and report.step("the service key corrects it for the organization that it names", corrected)
    )
