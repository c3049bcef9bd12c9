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

    def all_pass() -> str:
        with_rate = {"items": [unit, {"feature": offer.rate}]} if offer.rate else unit
        for number in range(offer.limit):
            answer = _authorize(journey, with_rate if number == 0 else unit, at_gate=number % 2 == 1)
            expect(answer.status_code == 200, f"call {number + 1} answered {answer.status_code} {answer.text[:300]}")
        meters = journey.api.get("/api/usage/current")
        return f"{offer.limit} counted, every other one asked at {journey.world.gate_url}: {_meter(meters, offer.quota)}"

    def refused() -> str:
        problem = _refused(_authorize(journey, unit), 429, "quota_exceeded")
        expect(problem["limit"] == offer.limit and problem["used"] == offer.limit, f"limit and used are missing: {problem}")
        expect(problem["resetsAt"] and problem["upgradeUrl"], f"reset time or upgrade link is missing: {problem}")
        return (
            f"429 {problem['code']}: {problem['detail']}\n"
            f"limit {problem['limit']}, resets {problem['resetsAt']}, upgrade at {problem['upgradeUrl']}"
        )

    def unavailable() -> str:
        problem = _refused(_authorize(journey, {"feature": offer.unavailable}), 403, "feature_not_available")
        return f"403 {problem['code']}: {problem['detail']}"

    beside = ", one of them asked together with its rate" if offer.rate else ""
    return (
        report.step(f"{offer.limit} {offer.unit} pass on {offer.free['title']}{beside}", all_pass)
        and report.step("the next one is refused", refused)
        and (not offer.unavailable or report.step(f"{offer.unavailable} is refused for another reason", unavailable))
    )


def _meter(document: dict[str, Any], feature: str) -> str:
    usage = next((meter for meter in document["usage"] if meter["feature"] == feature), None)
    expect(usage is not None, f"{feature} is not in /api/usage/current")
    assert usage is not None
    return f"used {usage['used']}, included {usage['included']}, remaining {usage['remaining']}"
