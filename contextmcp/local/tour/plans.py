"""What the Free plan gives and refuses."""

from typing import Any

from .journey import Journey
from .report import Report, expect


def _authorize(journey: Journey, body: dict[str, Any], *, at_gate: bool = False) -> Any:
    base = journey.world.gate_url if at_gate else journey.world.url
    return journey.api.call("POST", "/api/usage/authorize", body, base=base)


def _refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    problem: dict[str, Any] = answer.json()
    expect(answer.status_code == status and problem.get("code") == code, f"answered {answer.status_code} {answer.text[:300]}")
    return problem


def free(journey: Journey, report: Report) -> bool:
    def fifty() -> str:
        both = {"items": [{"feature": "sessions"}, {"feature": "session_creation"}]}
        for number in range(50):
            answer = _authorize(journey, both if number == 0 else {"feature": "sessions"}, at_gate=number % 2 == 1)
            expect(answer.status_code == 200, f"session {number + 1} answered {answer.status_code} {answer.text[:300]}")
        meters = journey.api.get("/api/usage/current")
        return f"50 of 50 counted, every other one asked at {journey.world.gate_url}: {_meter(meters, 'sessions')}"

    def refused() -> str:
        problem = _refused(_authorize(journey, {"feature": "sessions"}), 429, "quota_exceeded")
        expect(problem["limit"] == 50 and problem["used"] == 50, f"limit and used are missing: {problem}")
        expect(problem["resetsAt"] and problem["upgradeUrl"], f"reset time or upgrade link is missing: {problem}")
        return (
            f"429 {problem['code']}: {problem['detail']}\n"
            f"limit {problem['limit']}, resets {problem['resetsAt']}, upgrade at {problem['upgradeUrl']}"
        )

    def git() -> str:
        problem = _refused(_authorize(journey, {"feature": "git_integration"}), 403, "feature_not_available")
        return f"403 {problem['code']}: {problem['detail']}"

    return (
        report.step("50 sessions pass on Free, one of them asked together with its rate", fifty)
        and report.step("the 51st is refused", refused)
        and report.step("git_integration is refused for another reason", git)
    )


def _meter(document: dict[str, Any], feature: str) -> str:
    found = next((meter for meter in document["usage"] if meter["feature"] == feature), None)
    expect(found is not None, f"{feature} is not in /api/usage/current")
    assert found is not None
    return f"used {found['used']}, included {found['included']}, remaining {found['remaining']}"
