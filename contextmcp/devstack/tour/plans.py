"""Chapter about the free plan: what it includes and refuses."""

from typing import Any

from .context import Journey
from .report import Report, expect


def _authorize(journey: Journey, body: dict[str, Any], *, at_gate: bool = False) -> Any:
    base = journey.world.gate_url if at_gate else journey.world.url
    return journey.api.call("POST", "/api/usage/authorize", body, base=base)


def _refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    problem: dict[str, Any] = answer.json()
    expect(answer.status_code == status and problem.get("code") == code, f"answered {answer.status_code} {answer.text[:300]}")
    return problem


def free(journey: Journey, report: Report) -> bool:
    offer = journey.offer
    unit = {"feature": offer.quota}

    used = _meter(journey.api.get("/api/usage/current"), offer.quota)["used"]

    def rest_passes() -> str:
        """Use up the remaining quota, with requests to the web server and the gate in turn."""
        for number in range(used, offer.limit):
            answer = _authorize(journey, unit, at_gate=number % 2 == 1)
            expect(answer.status_code == 200, f"call {number + 1} answered {answer.status_code} {answer.text[:300]}")
        meter = _meter(journey.api.get("/api/usage/current"), offer.quota)
        return f"used {meter['used']}, included {meter['included']}, remaining {meter['remaining']}"

    def refused() -> str:
        problem = _refused(_authorize(journey, unit), 429, "quota_exceeded")
        _refused(_authorize(journey, unit, at_gate=True), 429, "quota_exceeded")
        expect(problem["limit"] == offer.limit and problem["used"] == offer.limit, f"limit and used are missing: {problem}")
        expect(problem["resetsAt"] and problem["upgradeUrl"], f"reset time or upgrade link is missing: {problem}")
        return (
            f"429 {problem['code']}: {problem['detail']}\n"
            f"limit {problem['limit']}, resets {problem['resetsAt']}, upgrade at {problem['upgradeUrl']}"
        )

    def unavailable() -> str:
        problem = _refused(_authorize(journey, {"feature": offer.unavailable}), 403, "feature_not_available")
        return f"403 {problem['code']}: {problem['detail']}"

    return (
        (used == offer.limit or report.step(f"{offer.limit - used} {offer.unit} pass on {offer.free['title']}", rest_passes))
        and report.step("the next one is refused, by the web server and the gate", refused)
        and (not offer.unavailable or report.step(f"{offer.unavailable} is refused for another reason", unavailable))
    )


def _meter(document: dict[str, Any], feature: str) -> dict[str, Any]:
    usage = next((meter for meter in document["usage"] if meter["feature"] == feature), None)
    expect(usage is not None, f"{feature} is not in /api/usage/current")
    assert usage is not None
    return dict(usage)
