"""The response to a tool call that the plan refuses: a result that a model can act on, the same as the gateway's."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from .errors import ContextMCPError, Refusal
from .refusals import TemporarilyUnavailable

DETAILS = ("feature", "limit", "used", "remaining", "resetsAt", "retryAfter", "upgradeUrl", "requiredPlan", "errors")


class Denial(Struct, frozen=True):
    """A refused tool call: the message for the model, and the details for programs (`structuredContent`)."""

    text: str
    facts: dict[str, Any]

    def result(self) -> dict[str, Any]:
        """Return the `CallToolResult` as a dictionary for JSON."""
        return {"content": [{"type": "text", "text": self.text}], "structuredContent": self.facts, "isError": True}


def denial_of(error: ContextMCPError) -> Denial:
    """Return the response to a call that failed with this error. Any error other than a refusal is reported as an outage."""
    if not isinstance(error, Refusal):
        error = TemporarilyUnavailable.locally(retryAfter=1)
    facts = {"code": error.code} | {name: error.problem[name] for name in DETAILS if error.problem.get(name) is not None}
    text = f"{error.detail} The plan can be changed at {error.upgrade_url}" if error.upgrade_url else error.detail
    return Denial(text, facts)
