"""What billing answers with: plain frozen values. Amounts are minor units of the currency beside them."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """Where to pay."""

    session_id: str
    url: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    brand: str
    last4: str
    exp_month: int
    exp_year: int


@dataclass(frozen=True, slots=True)
class UpcomingChange:
    """What will change by itself. `kind` is "plan" (a downgrade that waits) or "cancellation"."""

    kind: str
    at: datetime
    plan: str
    interval: str | None = None
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class OverageState:
    """Whether units beyond the allowance are sold, and up to what a month. A `cap` of None means overage is off."""

    feature: str
    enabled: bool
    cap: int | None
    unit_amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class OverLimit:
    """After a downgrade: `used` is above `limit`. Nothing is deleted; what is over is read-only."""

    feature: str
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """What an organization has, as its account page shows it. Without a subscription `status` is "none" and the plan that of its grants.

    `status` is Stripe's, else "none". `grace_until` is set while a failed payment is being retried and access goes on.
    `can_resume`, `can_change`, `trial_available` say which buttons make sense.
    """

    plan: str
    plan_version: int | None
    status: str
    interval: str | None = None
    amount: int | None = None
    currency: str | None = None
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    trial_end: datetime | None = None
    cancel_at: datetime | None = None
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    past_due_since: datetime | None = None
    grace_until: datetime | None = None
    upcoming_change: UpcomingChange | None = None
    discounts: tuple[dict[str, object], ...] = ()
    payment_method: PaymentMethod | None = None
    overage: OverageState | None = None
    over_limits: tuple[OverLimit, ...] = ()
    trial_available: bool = False
    synced_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        return self.status not in {"none", "canceled", "incomplete_expired"}

    @property
    def can_resume(self) -> bool:
        return self.is_live and self.cancel_at is not None


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
    """What a change costs, to the cent, before it is made.

    `when` is "now" or "period_end", `effective_at` that moment. `due_now` is charged at once: 0 for a change at period end. What is
    credited beyond it goes to the customer's balance as `credit`. `next_amount` is the regular price from `next_at` on.
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


@dataclass(frozen=True, slots=True)
class DunningState:
    """For the banner: a payment failed at `since`; access ends at `until` unless it is paid.

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
    """What `sync_customer` did. `events` counts those that had come by webhook and waited.

    `changes` names what differed from what was stored: kind, subject, as Stripe has it, as it was here.
    """

    customer_id: str
    organization_id: object | None
    events: int = 0
    changes: tuple[tuple[str, str, object, object], ...] = field(default=())
