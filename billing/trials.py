"""Limits trials to one per person and payment method, across organizations (ADR-014)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from hashlib import sha256
from operator import or_
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db.models import Q

from accounts.models import Organization, User
from accounts.roles import Role
from billing import enqueue
from billing.models import BillingAccount, CheckoutAttempt, SubscriptionState, TrialRecord
from billing.stripe.mirror import read
from contextmcp.common.ids import as_uuid
from contextmcp.common.locks import Namespace, lock_in_transaction

Kind = TrialRecord.Kind
# Identities that used a trial, as pairs of kind and SHA-256 digest.
Identities = frozenset[tuple[str, str]]
_NEVER_STARTED = ("incomplete", "incomplete_expired")
# Domains that ignore dots in the local part of an address.
_DOTLESS = ("gmail.com", "googlemail.com")


def is_available(organization: Organization) -> bool:
    """Return whether a Checkout of this organization would start with a trial.

    It does not if the organization subscribed before, or if one of its owners, their addresses or its cards used a trial in another
    organization (`BILLING_TRIAL_ONCE_PER`).
    """
    account = BillingAccount.objects.filter(organization=organization).first()
    return is_available_after(organization, account, organization.subscriptions.all())


def is_available_after(organization: Organization, account: BillingAccount | None, states: Iterable[SubscriptionState]) -> bool:
    """Return the result of `is_available` for the organization's account and all its subscriptions, which the caller has already read."""
    if account is not None and account.trial_used_at is not None:
        return False
    if any(state.status not in _NEVER_STARTED for state in states):
        return False
    known = _people(organization, (), verified_only=False) | _cards(account.stripe_customer_id if account else None)
    return not _used_elsewhere(organization, known)


def settle_trial(account: BillingAccount, documents: Iterable[Mapping[str, Any]]) -> set[str]:
    """Record the trials of these subscriptions, and queue the cancellation of withheld ones. Returns the ids of withheld subscriptions.

    A trial that started in Checkout is withheld if its card, which is known only after Checkout, has used a trial before. Trials that staff
    add in Stripe's dashboard are never withheld. Call it under the customer's lock, in its transaction.
    """
    organization = account.organization
    withheld = set()
    for document in documents:
        if not document["trial_start"]:
            continue
        attempt = _attempt_of(organization, document)
        if _is_withheld(organization, account, attempt, document):
            withheld.add(document["id"])
            if not document["ended_at"]:
                enqueue.withhold_trial(str(organization.pk), document["id"])
    return withheld


def _is_withheld(organization: Organization, account: BillingAccount, attempt: CheckoutAttempt | None, document: Mapping[str, Any]) -> bool:
    if attempt is not None and attempt.state == CheckoutAttempt.State.WITHHELD:
        return True
    if TrialRecord.objects.filter(organization=organization).exists():
        return False
    starter = (attempt.created_by,) if attempt is not None and attempt.created_by else ()
    cards = _cards(account.stripe_customer_id)
    _lock(_people(organization, starter, verified_only=False) | cards)
    has_trial = attempt is not None and attempt.includes_trial
    known = _people(organization, starter, verified_only=False) | cards
    if attempt is not None and has_trial and document["status"] == "trialing" and _used_elsewhere(organization, known):
        attempt.state = CheckoutAttempt.State.WITHHELD
        attempt.save(update_fields=["state"])
        return True
    _record(organization, _people(organization, starter, verified_only=True) | cards)
    return False


def _attempt_of(organization: Organization, document: Mapping[str, Any]) -> CheckoutAttempt | None:
    identifier = as_uuid((document.get("metadata") or {}).get("checkout_attempt"))
    return organization.checkout_attempts.select_related("created_by").filter(pk=identifier).first() if identifier else None


def _people(organization: Organization, others: Iterable[User], *, verified_only: bool) -> Identities:
    """Return the identities of the organization's owners and of `others`: their users and email addresses.

    Only verified addresses are recorded. Otherwise a user could use up another person's trial with that person's address.
    """
    owners = User.objects.filter(memberships__organization=organization, memberships__role=Role.OWNER)
    users = {user.pk: user for user in (*owners, *others)}
    addresses = EmailAddress.objects.filter(user__in=users)
    if verified_only:
        addresses = addresses.filter(verified=True)
    identities = {(Kind.USER.value, _digest(str(pk))) for pk in users}
    identities |= {(Kind.EMAIL.value, _digest(_mailbox(email))) for email in addresses.values_list("email", flat=True)}
    return frozenset(identities)


def _cards(customer_id: str | None) -> Identities:
    """Return the identities of a customer's cards and bank accounts: their fingerprints, which Stripe makes unique per number."""
    documents = read.payment_methods(customer_id) if customer_id else []
    fingerprints = [(each.get(each["type"]) or {}).get("fingerprint") for each in documents]
    return frozenset((Kind.CARD.value, _digest(each)) for each in fingerprints if each)


def _mailbox(email: str) -> str:
    """Normalize an email address: lower case, no "+tag", no dots at Gmail. Addresses of one mailbox give the same result."""
    name, _, domain = email.lower().partition("@")
    name = name.partition("+")[0] or name
    return f"{name.replace('.', '') if domain in _DOTLESS else name}@{domain}"


def _digest(value: str) -> str:
    return sha256(value.encode()).hexdigest()


def _used_elsewhere(organization: Organization, known: Identities) -> bool:
    conditions = [Q(kind=kind, value=value) for kind, value in known if kind in settings.BILLING_TRIAL_ONCE_PER]
    return bool(conditions) and TrialRecord.objects.exclude(organization=organization).filter(reduce(or_, conditions)).exists()


def _record(organization: Organization, known: Identities) -> None:
    rows = [TrialRecord(organization=organization, kind=kind, value=value) for kind, value in sorted(known)]
    TrialRecord.objects.bulk_create(rows, ignore_conflicts=True)


def _lock(known: Identities) -> None:
    """Lock the identities until the transaction ends, so that two organizations cannot start a trial with the same card concurrently."""
    for _, value in sorted(known):
        lock_in_transaction(Namespace.TRIAL_IDENTITY, value)
