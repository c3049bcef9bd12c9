"""API errors as Stripe returns them: HTTP status, type, code, param and message."""

from typing import Any

from stripe_simulator.types import Obj


class Refusal(Exception):
    """An error response. With `keep`, the changes made before it are committed, because a declined charge is part of the history."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        keep: bool = False,
        unsaved: bool = False,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.keep = keep
        self.unsaved = unsaved  # The response is not stored under the idempotency key.
        self.extra = extra

    def body(self, request_id: str) -> Obj:
        error: Obj = {"message": self.message, "type": self.kind, "request_log_url": f"http://localhost/_sim/requests/{request_id}"}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        if self.param:
            error["param"] = self.param
        error.update({key: value for key, value in self.extra.items() if value is not None})
        return {"error": error}


def invalid(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """Return an error about invalid parameters. Nothing was executed, so the response is not stored under the idempotency key."""
    return Refusal(message, param=param, code=code, unsaved=True)


def resource_missing(kind: str, id: str, param: str | None = None) -> Refusal:
    noun = {"checkout.session": "checkout session", "payment_method": "PaymentMethod"}.get(
        kind, kind.rsplit(".", maxsplit=1)[-1].replace("_", " ")
    )
    status = 404 if param in (None, "id") else 400
    return Refusal(f"No such {noun}: '{id}'", status=status, code="resource_missing", param=param or "id", unsaved=True)


def declined(message: str, decline_code: str | None, *, code: str = "card_declined", keep: bool = False, **extra: Any) -> Refusal:
    return Refusal(message, status=402, kind="card_error", code=code, keep=keep, decline_code=decline_code, **extra)
