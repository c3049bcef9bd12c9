"""Why billing refuses."""

from contextmcp.common.errors import Conflict, DomainError, NotFound, ValidationFailed


class BillingNotConfigured(DomainError):
    code = "billing_not_configured"
    status = 503
    message = "Billing is not configured on this server."


class StripeUnavailable(DomainError):
    """Stripe did not answer in time, or answered that it cannot. Nothing is known about the request; repeating it is safe."""

    code = "stripe_unavailable"
    status = 503
    message = "The payment provider does not answer at the moment. Please try again shortly."


class PaymentRequired(DomainError):
    """A payment was declined, or needs its owner. Details: `reason`, Stripe's decline code; `invoice_url` where it can be paid."""

    code = "payment_required"
    status = 402
    message = "The payment did not go through. Use another card, or confirm the payment."


class StripeRejected(DomainError):
    """Stripe found the request wrong: a mistake of ours, or a state we did not know. Callers handle the codes they expect.

    Where no caller does, the customer reads the sentence below. Stripe's own message is for the operator: `str()` and the log have it.
    """

    code = "stripe_rejected"
    status = 502
    message = "The payment provider refused this request. The operator of this server has to look into it."

    def __init__(self, message: str, stripe_code: str = "", param: str = "") -> None:
        super().__init__()
        self.args = (message,)
        self.stripe_code = stripe_code
        self.param = param


class StripeMissing(StripeRejected):
    """There is no such object at Stripe."""


class AlreadySubscribed(Conflict):
    code = "already_subscribed"
    message = "This organization already has a subscription. Change its plan instead: POST /api/billing/change-plan."


class NoSubscription(Conflict):
    code = "no_subscription"
    message = "This organization has no subscription."


class NothingToChange(Conflict):
    code = "nothing_to_change"
    message = "The subscription is already so."


class CancellationPending(Conflict):
    code = "cancellation_pending"
    message = "The subscription is about to end. Resume it first, then change its plan."


class PreviewExpired(Conflict):
    code = "preview_expired"
    message = "This preview is too old: what the change costs depends on the moment. Ask for another one."


class NoCustomer(Conflict):
    code = "no_customer"
    message = "This organization has never paid anything here, so there is nothing to manage yet."


class PlanNotSold(ValidationFailed):
    message = "This plan cannot be bought that way."


class OverageNotSold(Conflict):
    code = "overage_not_sold"
    message = "The present plan sells nothing beyond its allowance."


class UnknownPromotionCode(Conflict):
    """What is sent is well-formed; whether such a code stands is Stripe's present word."""

    code = "promotion_code_unknown"
    message = "There is no such promotion code, or it is no longer valid."


class UnknownSession(NotFound):
    message = "There is no such checkout session."
