"""The vendor's own server: it holds a service key and corrects what was counted."""

import os
import subprocess
import sys

from .journey import Journey
from .report import Report, expect

EVENTS = "/api/usage/events"


def report_usage(journey: Journey, report: Report) -> bool:
    correction = {"feature": "sessions", "amount": -1, "reason": "counted for a session that did not start"}

    def create() -> str:
        command = [sys.executable, "manage.py", "create_service_key", "Tour"]
        environment = {**os.environ, **journey.world.environment}
        made = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        journey.service_key = made.stdout.strip()
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
        again = journey.api.call("POST", "/api/usage/authorize", {"feature": "sessions"})
        expect(again.status_code == 200 and again.json()["used"] == 50, f"answered {again.status_code} {again.text}")
        return "49 of 50 counted after the correction, so one more session passes"

    return (
        report.step("create a service key for the vendor's own server", create)
        and report.step("the customer's key cannot correct its usage", refused)
        and report.step("the service key corrects it for the organization that it names", corrected)
    )
