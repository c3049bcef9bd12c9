"""Errors of billing. Each class has a stable `code`, an HTTP status and a message for customers."""

from typing import Any, ClassVar

from django.utils.translation import gettext_noop as _

from contextmcp.common.errors import Conflict, DomainError, NotFound, ValidationFailed


class BillingNotConfigured(DomainError):
    code = "billing_not_configured"
    status = 503
    message = _("Billing is not configured on this server.")


class StripeUnavailable(DomainError):
    """Stripe timed out or returned a server error. The outcome of the request is unknown; it is safe to repeat it."""

    code = "stripe_unavailable"
    status = 503
    message = _("The payment provider is not responding. Try again in a few minutes.")


class PaymentRequired(DomainError):
    """A payment was declined or requires action by the customer. Details: `reason` (Stripe's decline code), `invoice_url` to pay it."""

    code = "payment_required"
    status = 402
    message = _("The payment failed. Use a different payment method, or confirm the payment.")


class PaymentConfirmationRequired(PaymentRequired):
    """The customer's bank requires confirmation of the payment. Details: `url` of the confirmation page, `expires_at`, `reason`.

    Nothing has changed yet. The change is applied once the payment is confirmed, and is discarded after `expires_at`.
    """

    code = "payment_confirmation_required"
    message = _(
        "Your bank requires you to confirm this payment. Open the payment page to confirm it. Your plan changes once the payment succeeds."
    )


class ServerMisconfigured(BillingNotConfigured):
    """A configuration error stops billing, such as a rejected API key or an invalid configured price. Only the operator can fix it."""

    needs_operator: ClassVar[bool] = True


class StripeRejected(DomainError):
    """Stripe rejected the request. `billing.stripe.gateway.refusals` maps Stripe's reasons to the subclasses.

    Customers see the class's `message`. Stripe's own message is for the operator: it is in `str()`, in the log and in the alert. An alert
    is opened if only the operator can fix the problem (`needs_operator`).
    """

    code = "stripe_rejected"
    status = 502
    message = _("The payment provider refused this request. Try again later; the operator of this server has been notified.")
    needs_operator: ClassVar[bool] = True

    def __init__(self, reason: str = "", stripe_code: str = "", param: str = "", **details: Any) -> None:
        super().__init__(**details)
        self.args = (reason or self.message,)
        self.stripe_code = stripe_code
        self.param = param


class NoUpcomingInvoice(StripeRejected):
    """A preview of the next invoice was requested, but the subscription has no upcoming invoice."""

    code = "no_upcoming_invoice"
    needs_operator = False


class StripeMissing(StripeRejected):
    """The object does not exist at Stripe."""

    code = "stripe_object_missing"
    message = _("The payment provider no longer has this object. The operator of this server has been notified.")


class PriceNotAvailable(StripeRejected):
    """The price or its product is archived, deleted, or belongs to another Stripe account."""

    code = "price_not_available"
    status = 503
    message = _("This plan is not available for purchase at the moment. The operator of this server has been notified.")


class PortalNotConfigured(StripeRejected):
    """The customer portal's settings have not been saved in the Stripe dashboard."""

    code = "portal_not_configured"
    status = 503
    message = _("The customer portal for payment methods and invoices is not set up yet. The operator of this server has been notified.")


class TaxNotConfigured(StripeRejected):
    """Automatic tax is enabled here, but Stripe Tax is inactive or has no head office address."""

    code = "tax_not_configured"
    status = 503
    message = _("Taxes cannot be calculated at the moment, so purchases are unavailable. The operator of this server has been notified.")


class TaxLocationRequired(StripeRejected):
    code = "tax_location_required"
    status = 409
    message = _("Taxes cannot be calculated for your billing address. Correct the address, then try again.")
    needs_operator = False


class CurrencyMismatch(StripeRejected):
    """Stripe allows one currency per customer while subscriptions or open invoices in that currency exist."""

    code = "currency_mismatch"
    status = 409
    message = _("This price is in a different currency from your current billing currency. The operator of this server has been notified.")


class SubscriptionChangeRefused(StripeRejected):
    """Stripe rejects a preview, change, schedule or cancellation because of the subscription's current state."""

    code = "subscription_change_refused"
    message = _("The payment provider refused to change the subscription. Nothing changed; the operator of this server has been notified.")


class PromotionCodeRefused(StripeRejected):
    """A promotion code cannot be redeemed although the request is well-formed. Base class of the specific reasons."""

    code = "promotion_code_not_redeemable"
    status = 409
    message = _("This promotion code cannot be used for this purchase.")
    needs_operator = False

    def __init__(self, reason: str = "", stripe_code: str = "", param: str = "") -> None:
        super().__init__(reason, stripe_code, param, errors=[{"field": "promotionCode", "message": self.message}])


class PromotionCodeExpired(PromotionCodeRefused):
    code = "promotion_code_expired"
    message = _("This promotion code has expired or has been used up.")


class UnknownPromotionCode(PromotionCodeRefused):
    code = "promotion_code_unknown"
    message = _("This promotion code does not exist.")


class AlreadySubscribed(Conflict):
    code = "already_subscribed"
    message = _("This organization already has a subscription. Change its plan instead.")


class UnpaidInvoice(Conflict):
    """The subscription has an unpaid invoice. Details: `invoice_url` of the payment page; None until the invoice is finalized."""

    code = "unpaid_invoice"
    message = _("This organization's subscription has an unpaid invoice. Pay the invoice to keep or restore the plan.")


class TooManyBillingRequests(DomainError):
    """The organization or the user exceeded the request limit. Details: `limit` (requests per minute), `retry_after` (seconds)."""

    code = "rate_limited"
    status = 429
    message = _("Too many billing requests. Try again in a moment.")


class TrialAlreadyUsed(Conflict):
    """The trial was used before, which is known only after Checkout. Nothing was charged and the subscription is canceled."""

    code = "trial_already_used"
    message = _(
        "You have already had a trial, or your payment method has already been used for one. Nothing was charged and the subscription was "
        "canceled. You can subscribe without a trial."
    )


class NoSubscription(Conflict):
    code = "no_subscription"
    message = _("This organization has no subscription.")


class NothingToChange(Conflict):
    code = "nothing_to_change"
    message = _("The subscription already has this plan and interval.")


class CancellationPending(Conflict):
    code = "cancellation_pending"
    message = _("The subscription is scheduled to be canceled. Resume it before you change the plan.")


class ChangeAwaitsPayment(Conflict):
    """An earlier plan change waits for payment confirmation. Details: `url` of the confirmation page, `expires_at`."""

    code = "change_awaits_payment"
    message = _("A plan change is waiting for payment confirmation. Confirm the payment or cancel the change first.")


class CollectionPaused(Conflict):
    """Payment collection is paused, so that a change would not be charged. Details: `resumes_at`."""

    code = "collection_paused"
    message = _("Payment collection for this subscription is paused. The plan cannot be changed until it resumes. Contact support.")


class PauseNotOffered(Conflict):
    code = "pause_not_offered"
    message = _("Payments cannot be paused at the moment.")


class PreviewExpired(Conflict):
    code = "preview_expired"
    message = _("This preview has expired because prorated amounts depend on the time of the change. Request a new preview.")


class NoCustomer(Conflict):
    code = "no_customer"
    message = _("This organization has no billing account yet. Subscribe to a plan first.")


class EventWithoutSubject(Conflict):
    code = "event_without_subject"
    message = "This event does not affect data that this application stores, so it cannot be replayed."


class EmailNotUnsent(Conflict):
    code = "email_not_unsent"
    message = "This email was already sent or canceled, or will be retried automatically."


class EventNotDead(Conflict):
    code = "event_not_dead"
    message = "Only a dead event can be discarded. This event is pending, or was already processed or discarded."


class PlanNotSold(ValidationFailed):
    message = _("This plan or billing interval is not available.")


class OverageNotSold(Conflict):
    code = "overage_not_sold"
    message = _("The current plan does not offer overage.")


class UnknownSession(NotFound):
    message = _("The checkout session was not found.")


class StaffActionFailed(Conflict):
    code = "staff_action_failed"
    message = "This request was rejected, or was replaced by a newer one. Check the current state, then submit the form again."


class OtherCurrency(Conflict):
    code = "other_currency"
    message = "The customer has a different currency at Stripe. Sync the customer first."


class NotRefundable(Conflict):
    code = "not_refundable"
    message = "This invoice has no payment that can be refunded."


class AmountTooHigh(Conflict):
    """An amount exceeds what can be refunded or removed. Details: `maximum` (minor units)."""

    code = "amount_too_high"
    message = "The amount is too high."


class TrialNotExtendable(Conflict):
    code = "trial_not_extendable"
    message = "Free days can be added only while the subscription is active or in trial and no payment is outstanding."


class RevenueRebuildInProgress(Conflict):
    code = "revenue_rebuild_in_progress"
    message = "The revenue figures are being rebuilt. Try again when the rebuild has finished."


class MigrationFinished(Conflict):
    code = "plan_migration_finished"
    message = "Nothing was changed: this move is finished, already stopped, or still running."
