"""Result types of billing: frozen dataclasses. Amounts are minor units of the `currency` beside them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """A Checkout session at Stripe. `url` is the payment page."""

    session_id: str
    url: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """The default payment method. `type` is Stripe's type; fields that the type does not have are None. `display_name` is for people."""

    type: str
    display_name: str
    brand: str | None = None
    last4: str | None = None
    exp_month: int | None = None
    exp_year: int | None = None

    def expires_by(self, moment: datetime) -> bool:
        """Return whether the card is no longer valid at `moment`. A card is valid until its month ends; other types do not expire."""
        if not self.exp_month or not self.exp_year:
            return False
        year, month0 = divmod(self.exp_year * 12 + self.exp_month, 12)
        return moment >= datetime(year, month0 + 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class UpcomingChange:
    """A scheduled change. `kind` is "plan" (a scheduled plan change) or "cancellation".

    `amount` is the price per interval after it, and `discounted_amount` the same after the discounts that apply then.
    """

    kind: str
    at: datetime
    plan: str
    interval: str | None = None
    amount: int | None = None
    discounted_amount: int | None = None


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A plan change that waits for payment confirmation at `url` and is discarded after `expires_at`. `amount` is due for the change."""

    plan: str
    interval: str | None
    amount: int | None
    currency: str
    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NextPayment:
    """The next invoice. `amount` is its total due; `regular` is the plan's part, including its discounts and tax.

    If `exact` is False, Stripe did not answer: `amount` is the plan's price after discounts and before tax.
    """

    amount: int
    currency: str
    at: datetime
    discount: int = 0
    tax: int = 0
    regular: int | None = None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class CollectionPause:
    """Paused payment collection. The plan remains active. `resumes_at` is None if staff have to resume the collection.

    `behavior` is Stripe's: invoices are kept as drafts ("keep_as_draft") or not collected ("mark_uncollectible", "void"). `by_customer`
    tells whether an owner chose the pause, who can then end it.
    """

    behavior: str
    resumes_at: datetime | None
    by_customer: bool = False


@dataclass(frozen=True, slots=True)
class OverageState:
    """The overage setting of a feature. `cap` is the maximum per usage month; None if overage is disabled.

    `max_per_invoice` is twice the cap if usage months and invoices start on different days, for example after a change of interval.
    """

    feature: str
    enabled: bool
    cap: int | None
    unit_amount: int
    currency: str
    max_per_invoice: int | None = None


@dataclass(frozen=True, slots=True)
class OverLimit:
    """A gauge whose `used` units exceed the `limit`, for example after a downgrade. No data is deleted; the excess is read-only."""

    feature: str
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """The subscription as the account page and the API show it.

    `status` is Stripe's status. Without a subscription it is "none", and `plan` is the plan of the organization's grants.
    `grace_until` is the end of the grace period after a failed payment; `invoice_url` is set while a payment is missing.
    `can_resume`, `can_change` and `trial_available` decide which actions a page offers.
    `amount` is the price per interval for the whole `quantity`, `discounted_amount` is the same after the discounts that apply at the next
    renewal; both are before tax.
    `subscribed_plan` is the plan of the subscription, which differs from `plan` if staff gave a higher one; it is empty if its price is
    unknown here.
    `has_free_days` is True if staff postponed the next payment of a paid subscription; Stripe's status is "trialing" then as well.
    """

    plan: str
    plan_version: int | None
    status: str
    interval: str | None = None
    amount: int | None = None
    quantity: int | None = None
    discounted_amount: int | None = None
    currency: str | None = None
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    trial_end: datetime | None = None
    has_free_days: bool = False
    cancel_at: datetime | None = None
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    past_due_since: datetime | None = None
    grace_until: datetime | None = None
    invoice_url: str | None = None
    collection_pause: CollectionPause | None = None
    upcoming_change: UpcomingChange | None = None
    pending_change: PendingChange | None = None
    discounts: tuple[dict[str, object], ...] = ()
    payment_method: PaymentMethod | None = None
    overage: OverageState | None = None
    over_limits: tuple[OverLimit, ...] = ()
    trial_available: bool = False
    synced_at: datetime | None = None
    subscribed_plan: str = ""

    @property
    def is_live(self) -> bool:
        """Return whether there is a subscription that has not ended. Its payment may be missing."""
        return self.status not in {"none", "canceled", "incomplete_expired"}

    @property
    def on_trial(self) -> bool:
        """Return whether the subscription is in its first trial."""
        return self.status == "trialing" and not self.has_free_days

    @property
    def can_change(self) -> bool:
        """Return whether the plan can be changed now: no payment is missing and no cancellation is scheduled."""
        return self.status in {"trialing", "active"} and self.cancel_at is None

    @property
    def can_resume(self) -> bool:
        """Return whether a cancellation is scheduled that can be withdrawn, or the subscription is paused."""
        return self.status == "paused" or (self.is_live and self.cancel_at is not None)

    @property
    def can_cancel(self) -> bool:
        """Return whether the subscription can be canceled: it has started, and no cancellation is scheduled."""
        return self.is_live and self.cancel_at is None and self.status != "incomplete"

    @property
    def next_charge_at(self) -> datetime | None:
        """Return when the next period is charged; None if the subscription does not renew."""
        end = self.trial_end if self.status == "trialing" else self.current_period_end
        renews = self.status in {"trialing", "active", "past_due"} and (
            self.cancel_at is None or (end is not None and self.cancel_at > end)
        )
        return end if renews else None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an invoice or of a preview. A negative `amount` is a credit."""

    description: str
    amount: int
    quantity: int | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    proration: bool = False


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """The exact cost of a plan change.

    `when` is "now" or "period_end"; `effective_at` is that time. `due_now` is charged immediately and is 0 for a change at period end.
    `credit` is added to the customer's balance. `next_amount` is the regular price from `next_at` on, including tax.
    The sum of `lines`, minus `discount`, plus `tax` (which the lines do not include) and `balance` (negative: credit that is used) is
    `due_now`, or the negative `credit`.
    """

    plan: str
    interval: str
    when: str
    effective_at: datetime
    due_now: int
    credit: int
    currency: str
    lines: tuple[Line, ...]
    next_amount: int
    next_at: datetime | None
    proration_date: datetime | None = None
    over_limits: tuple[OverLimit, ...] = ()
    discount: int = 0
    tax: int = 0
    balance: int = 0


@dataclass(frozen=True, slots=True)
class PromotionEffect:
    """The effect of a promotion code on the price of a plan. Amounts are per interval, before tax.

    `payments` is the number of payments that are reduced to `discounted_amount`; None if all are. `percent_off` or `amount_off` is the
    discount of the coupon, and `months` its duration if that is a number of months.
    """

    code: str
    amount: int
    discounted_amount: int
    currency: str
    interval: str
    payments: int | None
    percent_off: float | None = None
    amount_off: int | None = None
    months: int | None = None


@dataclass(frozen=True, slots=True)
class CancellationReason:
    """Why a customer cancels: `feedback` is one of Stripe's values or empty, `comment` is the customer's text."""

    feedback: str = ""
    comment: str = ""


NO_REASON = CancellationReason()


@dataclass(frozen=True, slots=True)
class PauseOffer:
    """The offer to skip the next `payments` payments. The plan stays active. Payments resume at `next_payment_at`."""

    payments: int
    resumes_at: datetime
    next_payment_at: datetime


@dataclass(frozen=True, slots=True)
class DunningState:
    """A failed payment. The payment failed at `since`, and access ends at `until` unless the invoice is paid.

    `stage` is "started", "halfway", "last_day" or "over".
    """

    stage: str
    since: datetime
    until: datetime
    amount: int | None = None
    currency: str | None = None
    invoice_url: str = ""


@dataclass(frozen=True, slots=True)
class SyncResult:
    """The result of `sync_customer`. `events` is the number of pending webhook events that it processed.

    `changes` contains (kind, subject, value at Stripe, previous local value) for each difference.
    """

    customer_id: str
    organization_id: object | None
    events: int = 0
    changes: tuple[tuple[str, str, object, object], ...] = field(default=())
    # Unregistered prices of running subscriptions, if the organization has no plan from any of them.
    unknown_prices: tuple[str, ...] = ()
