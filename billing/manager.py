"""`BillingManager`, the entry point to billing for one organization."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext_noop as _

from accounts.errors import EmailNotConfirmed
from accounts.models import Organization, User
from accounts.selectors import has_confirmed_email
from accounts.types import Caller
from billing import amounts, over_limit, overage_settings, selectors
from usage.selectors import FeatureUsage

from . import customers, throttle
from .idempotent_actions import Actor, acting_user
from .models import Invoice
from .operator_alerts import alert_on_refusal
from .stripe.gateway.client import is_configured
from .subscriptions import change_plan, checkout, pause_payments, preview, promotion_codes
from .sync.customer import sync_customer
from .types import (
    NO_REASON,
    CancellationReason,
    ChangePreview,
    CheckoutSession,
    DunningState,
    NextPayment,
    OverageState,
    OverLimit,
    PauseOffer,
    PromotionEffect,
    Subscription,
    SyncResult,
)

P = ParamSpec("P")
R = TypeVar("R")


def calls_stripe(method: Callable[Concatenate[BillingManager, P], R]) -> Callable[Concatenate[BillingManager, P], R]:
    """Decorate a method that calls Stripe. An error that only the operator can fix opens an operator alert.

    A call with an actor counts against the request limits of the organization and of the user (`TooManyBillingRequests`).
    """

    @wraps(method)
    def run(self: BillingManager, /, *args: P.args, **options: P.kwargs) -> R:
        actor = next((each for each in (*args, *options.values()) if isinstance(each, Caller | User)), None)
        if actor is not None and is_configured():
            throttle.count_request(self.organization, acting_user(actor))
        with alert_on_refusal(self.organization):
            return method(self, *args, **options)

    return run


class BillingManager:
    """Subscription, invoices, overage and payments of one organization.

    Reads use local tables only, except `next_payment`, `promotion_effect` and `portal_details`. Writes raise `BillingNotConfigured`
    without a Stripe key, `StripeUnavailable` if Stripe does not answer, and a subclass of `StripeRejected` with its own code for each
    reason. Writes and the portal raise `ReauthenticationRequired` if the user last authenticated too long ago. Checkout does not, because
    the customer enters a payment method there.
    """

    def __init__(self, organization: Organization) -> None:
        self.organization = organization

    @staticmethod
    def is_configured() -> bool:
        """Return whether a Stripe key is configured."""
        return is_configured()

    def subscription(self, usage: list[FeatureUsage] | None = None) -> Subscription:
        """Return the current subscription from local tables. `usage` avoids a second query if the caller has read the usage already."""
        return selectors.subscription_summary(self.organization, usage)

    @calls_stripe
    def create_checkout(self, plan: str, interval: str, promotion_code: str = "", actor: Actor = None) -> CheckoutSession:
        """Return the Checkout session for a plan.

        Raises `EmailNotConfirmed`, `AlreadySubscribed`, `UnpaidInvoice`, `PlanNotSold`, `PromotionCodeRefused`.
        """
        if isinstance(actor, Caller) and actor.user is not None and not has_confirmed_email(actor.user):
            raise EmailNotConfirmed(
                _("Confirm your email address before you subscribe. The confirmation link was sent to your email address.")
            )
        return checkout.start_checkout(self.organization, plan, interval, promotion_code, actor)

    @calls_stripe
    def return_from_checkout(self, session_id: str, actor: Actor = None) -> bool:
        """Sync after the customer returned from Checkout, and return whether the session is complete.

        Raises `UnknownSession`, `TrialAlreadyUsed`.
        """
        return checkout.record_return(self.organization, session_id)

    @calls_stripe
    def promotion_effect(self, plan: str, interval: str, code: str, actor: Actor = None) -> PromotionEffect:
        """Return what a plan would cost with a promotion code. Raises `PlanNotSold`, `PromotionCodeRefused`."""
        return promotion_codes.promotion_effect(self.organization, plan, interval, code)

    @calls_stripe
    def create_portal(self, actor: Actor = None, return_url: str = "", *, flow: str = "") -> str:
        """Return the URL of a customer portal session. Raises `NoCustomer` if the organization has no Stripe customer.

        With `flow`, such as "payment_method_update", the portal opens that page and returns afterwards.
        """
        _confirmed(actor)
        return_url = return_url or f"{settings.PUBLIC_URL}/account/billing/"
        return customers.create_portal_session(self.organization, actor, return_url, flow)

    @staticmethod
    def portal_details() -> list[str]:
        """Return the details that customers can change in the portal, such as "address" and "tax_id"."""
        return customers.portal_details() if is_configured() else []

    @calls_stripe
    def preview_change(self, plan: str, interval: str, actor: Actor = None) -> ChangePreview:
        """Return the exact cost of a plan change.

        Raises `NoSubscription`, `NothingToChange`, `PlanNotSold`, `CancellationPending`, `CollectionPaused`, `PaymentRequired`.
        """
        return preview.preview_change(self.organization, plan, interval)

    @calls_stripe
    def change_plan(self, plan: str, interval: str, proration_date: datetime | None = None, actor: Actor = None) -> Subscription:
        """Upgrade immediately or downgrade at the end of the period. With the preview's `proration_date` the invoice matches it exactly.

        Raises the errors of `preview_change`, and:

        - `PreviewExpired`.
        - `PaymentRequired`: the payment was declined. Nothing changed.
        - `PaymentConfirmationRequired`: the bank requires confirmation. The change is applied once the payment is confirmed.
        """
        _confirmed(actor)
        change_plan.change_plan(self.organization, plan, interval, proration_date, actor)
        return self._reread()

    @calls_stripe
    def cancel_scheduled_change(self, actor: Actor = None) -> Subscription:
        """Cancel a scheduled or pending plan change. Raises `NoSubscription`, `NothingToChange`."""
        _confirmed(actor)
        change_plan.cancel_scheduled_change(self.organization, actor)
        return self._reread()

    @calls_stripe
    def cancel(self, actor: Actor = None, *, at_once: bool = False, reason: CancellationReason = NO_REASON) -> Subscription:
        """Cancel at the end of the period, or immediately. Raises `NoSubscription`, `NothingToChange`."""
        _confirmed(actor)
        change_plan.cancel_subscription(self.organization, actor, at_once=at_once, reason=reason)
        return self._reread()

    def pause_offer(self) -> PauseOffer | None:
        """Return the pause that an owner can choose instead of canceling; None if none is offered."""
        return pause_payments.pause_offer(self.organization)

    @calls_stripe
    def pause_payments(self, actor: Actor = None) -> Subscription:
        """Skip the payments of the offered pause. The plan stays active. Raises `NoSubscription`, `PauseNotOffered`."""
        _confirmed(actor)
        pause_payments.pause_payments(self.organization, actor)
        return self._reread()

    @calls_stripe
    def resume_payments(self, actor: Actor = None) -> Subscription:
        """End a pause that an owner chose. Raises `NoSubscription`, `NothingToChange`."""
        _confirmed(actor)
        pause_payments.resume_payments(self.organization, actor)
        return self._reread()

    @calls_stripe
    def resume(self, actor: Actor = None) -> Subscription:
        """Revert a scheduled cancellation, or resume a paused subscription. Raises `NoSubscription`, `NothingToChange`."""
        _confirmed(actor)
        change_plan.resume_subscription(self.organization, actor)
        return self._reread()

    def next_payment(self) -> NextPayment | None:
        """Return the next invoice's amount from Stripe's preview, or an estimate from local tables if Stripe does not answer."""
        state = selectors.current_subscription(self.organization)
        return amounts.next_payment(state) if state else None

    def invoices(self) -> QuerySet[Invoice]:
        """Return the finalized invoices, newest first. Drafts are excluded because they can still change."""
        return self.organization.invoices.exclude(status="draft")

    def dunning(self) -> DunningState | None:
        """Return the missing payment and the end of the grace period; None if no payment is missing."""
        return selectors.dunning_state(self.organization)

    def over_limits(self) -> tuple[OverLimit, ...]:
        """Return the features whose usage exceeds the current limits. The excess is read-only."""
        return over_limit.current_over_limits(self.organization)

    @calls_stripe
    def set_overage(self, *, enabled: bool, cap: int | None, actor: Actor = None) -> OverageState:
        """Enable overage up to `cap` (minor units per usage month), or disable it.

        Raises the errors of `overage_settings.set_overage`.
        """
        _confirmed(actor)
        return overage_settings.set_overage(self.organization, enabled=enabled, cap=cap, actor=actor)

    @calls_stripe
    def sync(self) -> SyncResult:
        """Sync the organization's customer from Stripe. Raises `NoCustomer`."""
        return sync_customer(str(customers.require_account(self.organization).stripe_customer_id))

    def _reread(self) -> Subscription:
        self.organization.refresh_from_db()
        return self.subscription()


def _confirmed(actor: Actor) -> None:
    if isinstance(actor, Caller):
        actor.require_recent_authentication()
