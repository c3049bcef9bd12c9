"""Buying: an attempt on record, one open session, never a second subscription."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.audit import record
from accounts.models import Organization
from billing.errors import AlreadySubscribed, StripeMissing, StripeRejected, UnknownPromotionCode, UnknownSession
from billing.gateway import checkout, subscriptions
from billing.models import BillingAccount, CheckoutAttempt, PlanPrice
from billing.models.subscriptions import ENDED
from billing.types import CheckoutSession

from . import customers, prices
from .actions import Actor, person
from .locks import one_at_a_time
from .sync import sync_customer

State = CheckoutAttempt.State


def begin(organization: Organization, plan: str, interval: str, promotion_code: str, actor: Actor) -> CheckoutSession:
    """Where to pay for this choice. The same choice gets the session that is open; another choice closes it first.

    Raises `AlreadySubscribed`, `PlanNotSold`, `UnknownPromotionCode`, `StripeUnavailable`, `BillingNotConfigured`.
    """
    with one_at_a_time(organization.pk):
        try:
            return _begin(organization, plan, interval, promotion_code, actor)
        except StripeMissing:
            # The customer was deleted at Stripe and we had not heard of it. Now we have, and the next one is made.
            sync_customer(str(customers.existing(organization).stripe_customer_id))
            return _begin(organization, plan, interval, promotion_code, actor)


def _begin(organization: Organization, plan: str, interval: str, promotion_code: str, actor: Actor) -> CheckoutSession:
    price = prices.for_sale(plan, interval)
    _refuse_subscribed(organization)
    account = customers.ensure(organization, actor)
    attempt = _open_attempt(account, plan, interval, promotion_code)
    if attempt is None:
        # Stripe may know of a subscription whose event has not come yet.
        _refuse_subscribed_at_stripe(account)
        attempt = _attempt(account, price, promotion_code, actor)
    return _session(attempt)


def _refuse_subscribed(organization: Organization) -> None:
    live = organization.subscriptions.live().exclude(status="incomplete").first()
    if live is not None:
        raise AlreadySubscribed(plan=live.plan or None, subscription_status=live.status)


def _refuse_subscribed_at_stripe(account: BillingAccount) -> None:
    customer_id = str(account.stripe_customer_id)
    found = {each["id"]: each["status"] for each in prices.ours(subscriptions.of_customer(customer_id))}
    running = any(status not in (*ENDED, "incomplete") for status in found.values())
    heard_of = account.organization.subscriptions.filter(stripe_subscription_id__in=found).count()
    if running or heard_of < len(found):
        # One that is over counts, too: its trial is used up.
        sync_customer(customer_id)
        account.refresh_from_db()
    if running:
        raise AlreadySubscribed


def _open_attempt(account: BillingAccount, plan: str, interval: str, promotion_code: str) -> CheckoutAttempt | None:
    """The attempt of the same choice that can still be paid. Any other one is closed."""
    attempt = _waiting(account.organization)
    if attempt is None:
        return None
    same = (attempt.plan, attempt.interval, attempt.promotion_code) == (plan, interval, promotion_code)
    same = same and attempt.request.get("customer") == account.stripe_customer_id
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


def _waiting(organization: Organization) -> CheckoutAttempt | None:
    return CheckoutAttempt.objects.filter(organization=organization, state__in=[State.PREPARING, State.OPEN]).first()


def _expire(attempt: CheckoutAttempt) -> dict[str, Any]:
    if attempt.session_id is None:
        # Stripe may have made its session before we went down. Asking again with the same key tells, and makes it ours to close.
        _session(attempt)
    return checkout.expire(str(attempt.session_id), key=f"{attempt.pk}-expire")


def close(organization: Organization) -> None:
    """Close the page that is still open, so that nobody pays for a second subscription there."""
    with one_at_a_time(organization.pk):
        attempt = _waiting(organization)
        if attempt is None:
            return
        if _expire(attempt)["status"] == "complete":
            sync_customer(str(customers.existing(organization).stripe_customer_id))
        else:
            attempt.state = State.EXPIRED
            attempt.save(update_fields=["state"])


def _attempt(account: BillingAccount, price: PlanPrice, promotion_code: str, actor: Actor) -> CheckoutAttempt:
    """The committed row, with the request exactly as it will be sent."""
    organization = account.organization
    trial = 0 if account.trial_used_at else price.plan_version.terms.trial_days
    attempt = CheckoutAttempt(
        organization=organization,
        plan=price.plan_version.plan,
        interval=price.interval,
        promotion_code=promotion_code,
        created_by=person(actor),
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
        request["discounts"] = [{"promotion_code": _promotion(attempt.promotion_code)}]
    else:
        request["allow_promotion_codes"] = True
    if settings.STRIPE_AUTOMATIC_TAX:
        request["automatic_tax"] = {"enabled": True}
        request["customer_update"] = {"address": "auto"}
    return request


def _promotion(code: str) -> str:
    found = checkout.promotion_code(code)
    if found is None:
        raise UnknownPromotionCode(errors=[{"field": "promotionCode", "message": UnknownPromotionCode.message}])
    return str(found["id"])


def _session(attempt: CheckoutAttempt) -> CheckoutSession:
    """Stripe's session of an attempt: made now, or found again."""
    if attempt.session_id is None:
        try:
            session = checkout.create(key=attempt.pk, request=attempt.request)
        except StripeRejected as error:
            attempt.state = State.FAILED
            attempt.save(update_fields=["state"])
            if error.param.startswith("discounts"):
                raise UnknownPromotionCode(errors=[{"field": "promotionCode", "message": str(error)}]) from error
            raise
        attempt.session_id, attempt.url = session["id"], session["url"] or ""
        attempt.expires_at = datetime.fromtimestamp(session["expires_at"], UTC)
        attempt.state = State.OPEN
        attempt.save(update_fields=["session_id", "url", "expires_at", "state"])
    return CheckoutSession(str(attempt.session_id), attempt.url, attempt.expires_at)


def returned(organization: Organization, session_id: str) -> bool:
    """The customer came back from Checkout: look at Stripe at once instead of waiting for its event. Whether it was paid.

    Raises `UnknownSession` for a session that is not this organization's.
    """
    attempt = CheckoutAttempt.objects.filter(organization=organization, session_id=session_id).first()
    if attempt is None:
        raise UnknownSession
    if attempt.state == State.COMPLETED:
        return True
    session = checkout.retrieve(session_id)
    if session is None or session["status"] != "complete":
        return False
    sync_customer(str(customers.existing(organization).stripe_customer_id))
    return True
