"""Checkout: one recorded attempt and one open session per organization, and never a second subscription."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.audit import record
from accounts.models import Organization
from billing import customers, trials
from billing.catalog import prices
from billing.customer_locks import serialized
from billing.errors import (
    AlreadySubscribed,
    StripeMissing,
    StripeRejected,
    TrialAlreadyUsed,
    UnknownSession,
    UnpaidInvoice,
)
from billing.idempotent_actions import Actor, acting_user
from billing.models import BillingAccount, CheckoutAttempt, PlanPrice
from billing.models.subscriptions import ENDED
from billing.selectors import current_subscription, invoice_to_pay
from billing.stripe.gateway import checkout, subscriptions
from billing.sync.customer import sync_customer
from billing.types import CheckoutSession

from . import pay_open_invoices
from .promotion_codes import find_promotion

State = CheckoutAttempt.State


def start_checkout(organization: Organization, plan: str, interval: str, promotion_code: str, actor: Actor) -> CheckoutSession:
    """Return the Checkout session for a plan, interval and promotion code.

    An open session for the same choice is returned again. An open session for another choice is expired first.

    Raises `AlreadySubscribed`, `UnpaidInvoice`, `PlanNotSold`, `PromotionCodeRefused`, `StripeRejected`, `StripeUnavailable`,
    `BillingNotConfigured`, `ChangeInProgress`.
    """
    with serialized(organization.pk):
        try:
            return _start(organization, plan, interval, promotion_code, actor)
        except StripeMissing:
            # The customer was deleted at Stripe. The sync records that, and the second attempt creates a new customer.
            sync_customer(str(customers.require_account(organization).stripe_customer_id))
            return _start(organization, plan, interval, promotion_code, actor)


def _start(organization: Organization, plan: str, interval: str, promotion_code: str, actor: Actor) -> CheckoutSession:
    price = prices.sellable_price(plan, interval)
    _refuse_subscribed(organization)
    account = customers.ensure_customer(organization, actor)
    attempt = _open_attempt(account, plan, interval, promotion_code)
    if attempt is None:
        # Stripe may have a subscription whose event has not been received yet.
        _refuse_subscribed_at_stripe(account)
        attempt = _attempt(account, price, promotion_code, actor)
    return _session(attempt)


def _refuse_subscribed(organization: Organization) -> None:
    live = current_subscription(organization)
    if live is None or not live.is_live or live.status == "incomplete":
        return
    if live.status in ("past_due", "unpaid"):
        pay_open_invoices.finalize_latest(organization)
        invoice = invoice_to_pay(live)
        raise UnpaidInvoice(plan=live.plan or None, subscription_status=live.status, invoice_url=invoice.hosted_url if invoice else None)
    raise AlreadySubscribed(plan=live.plan or None, subscription_status=live.status)


def _refuse_subscribed_at_stripe(account: BillingAccount) -> None:
    customer_id = str(account.stripe_customer_id)
    documents = subscriptions.of_customer(customer_id)
    prices.register_external_prices(documents)
    statuses = {each["id"]: each["status"] for each in prices.own_subscriptions(documents)}
    running = any(status not in (*ENDED, "incomplete") for status in statuses.values())
    synced = account.organization.subscriptions.filter(stripe_subscription_id__in=statuses).count()
    if running or synced < len(statuses):
        # Ended subscriptions are synced as well, because they may have used the trial.
        sync_customer(customer_id)
        account.refresh_from_db()
    if running:
        raise AlreadySubscribed


def _open_attempt(account: BillingAccount, plan: str, interval: str, promotion_code: str) -> CheckoutAttempt | None:
    """Return the unfinished attempt if it is for the same choice and can still be paid. Otherwise expire it and return None."""
    attempt = _unfinished_attempt(account.organization)
    if attempt is None:
        return None
    same = (attempt.plan, attempt.interval, attempt.promotion_code) == (plan, interval, promotion_code)
    same = same and attempt.request.get("customer") == account.stripe_customer_id
    # A session with a trial that was used elsewhere meanwhile must be expired.
    same = same and (not attempt.includes_trial or trials.is_available(account.organization))
    if same and attempt.session_id is None:
        return attempt
    session = checkout.retrieve(str(attempt.session_id)) if same else _expire(attempt)
    if session and session["status"] == "complete":
        sync_customer(str(account.stripe_customer_id))
        raise AlreadySubscribed
    if same and session and session["status"] == "open":
        return attempt
    attempt.state = State.EXPIRED
    attempt.save(update_fields=["state"])
    return None


def _unfinished_attempt(organization: Organization) -> CheckoutAttempt | None:
    return CheckoutAttempt.objects.filter(organization=organization, state__in=[State.PREPARING, State.OPEN]).first()


def _expire(attempt: CheckoutAttempt) -> dict[str, Any]:
    if attempt.session_id is None:
        # The session may have been created before a crash. Repeating the request with the same key returns it, so that it can be expired.
        _session(attempt)
    return checkout.expire(str(attempt.session_id), key=f"{attempt.pk}-expire")


def close_checkout(organization: Organization) -> None:
    """Expire the open Checkout session, so that it cannot be used to pay for a second subscription."""
    with serialized(organization.pk):
        attempt = _unfinished_attempt(organization)
        if attempt is None:
            return
        if _expire(attempt)["status"] == "complete":
            sync_customer(str(customers.require_account(organization).stripe_customer_id))
        else:
            attempt.state = State.EXPIRED
            attempt.save(update_fields=["state"])


def _attempt(account: BillingAccount, price: PlanPrice, promotion_code: str, actor: Actor) -> CheckoutAttempt:
    """Commit and return a new attempt with the exact request that will be sent."""
    organization = account.organization
    trial = price.plan_version.terms.trial_days if trials.is_available(organization) else 0
    attempt = CheckoutAttempt(
        organization=organization,
        plan=price.plan_version.plan,
        interval=price.interval,
        promotion_code=promotion_code,
        created_by=acting_user(actor),
    )
    attempt.request = _request(attempt, str(account.stripe_customer_id), price.stripe_price_id, trial)
    with transaction.atomic():
        attempt.save(force_insert=True)
        record(
            "billing.checkout_started",
            organization=organization,
            actor=actor,
            target=f"checkout:{attempt.pk}",
            after={"plan": attempt.plan, "interval": attempt.interval, "trial_days": trial},
        )
    return attempt


def _request(attempt: CheckoutAttempt, customer_id: str, price_id: str, trial_days: int) -> dict[str, Any]:
    metadata = {"organization": str(attempt.organization_id), "checkout_attempt": str(attempt.pk)}
    request: dict[str, Any] = {
        "mode": "subscription",
        "customer": customer_id,
        "client_reference_id": str(attempt.organization_id),
        "line_items": [{"price": price_id, "quantity": 1}],
        "success_url": f"{settings.PUBLIC_URL}/account/billing/return/?session_id={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{settings.PUBLIC_URL}/pricing/",
        "metadata": metadata,
        "subscription_data": {"metadata": metadata},
    }
    if trial_days:
        request["subscription_data"]["trial_period_days"] = trial_days
    if attempt.promotion_code:
        request["discounts"] = [{"promotion_code": find_promotion(attempt.promotion_code)["id"]}]
    else:
        request["allow_promotion_codes"] = True
    if settings.STRIPE_AUTOMATIC_TAX:
        request["automatic_tax"] = {"enabled": True}
        request["customer_update"] = {"address": "auto"}
    return request


def _session(attempt: CheckoutAttempt) -> CheckoutSession:
    """Return the session of an attempt, creating it at Stripe if necessary."""
    if attempt.session_id is None:
        try:
            session = checkout.create(key=attempt.pk, request=attempt.request)
        except StripeRejected:
            attempt.state = State.FAILED
            attempt.save(update_fields=["state"])
            raise
        attempt.session_id, attempt.url = session["id"], session["url"] or ""
        attempt.expires_at = datetime.fromtimestamp(session["expires_at"], UTC)
        attempt.state = State.OPEN
        attempt.save(update_fields=["session_id", "url", "expires_at", "state"])
    return CheckoutSession(str(attempt.session_id), attempt.url, attempt.expires_at)


def record_return(organization: Organization, session_id: str) -> bool:
    """Sync when the customer returns from Checkout, without waiting for the event. Returns whether the session is complete.

    Raises `UnknownSession` if the session does not belong to the organization, `TrialAlreadyUsed` if its trial is withheld.
    """
    attempt = CheckoutAttempt.objects.filter(organization=organization, session_id=session_id).first()
    if attempt is None:
        raise UnknownSession
    if attempt.state == State.COMPLETED:
        return True
    session = checkout.retrieve(session_id)
    if session is None or session["status"] != "complete":
        return False
    sync_customer(str(customers.require_account(organization).stripe_customer_id))
    attempt.refresh_from_db(fields=["state"])
    if attempt.state == State.WITHHELD:
        raise TrialAlreadyUsed
    return True
