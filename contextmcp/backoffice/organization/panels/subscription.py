"""The subscription here and at Stripe, side by side."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from billing.documents.stripe_documents import at
from billing.manager import BillingManager
from billing.stripe_comparison import ComparedField, ComparedSubscription
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import Block, Cell, Facts, Fragment, Note, Row, Table, money, row
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.organization.stripe_links import dashboard_link
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url
from contextmcp.common.text import words
from entitlements.models import PlanVersion

SHOWN_SUBSCRIPTIONS = 3
_NAMES = {
    "plan_version_id": "Plan",
    "stripe_price_id": "Price at Stripe",
    "unit_amount": "Unit price",
    "current_period_start": "Period start",
    "current_period_end": "Period end",
    "cancel_at": "Ends at",
    "ended_at": "Ended",
    "collection_paused": "Collection paused",
    "collection_resumes_at": "Collection resumes",
    "upcoming_change": "Scheduled change",
    "overage_item_id": "Item for overage",
}


def read(details: OrganizationDetails) -> Sequence[Block]:
    account = details.account
    if account is None or not account.stripe_customer_id:
        return [Note("No subscription: this organization has no Stripe customer.")]
    blocks: list[Block] = [_customer(details)]
    shown = details.comparisons[:SHOWN_SUBSCRIPTIONS]
    titles = _plan_titles(shown)
    for compared in shown:
        blocks += [_subscription(compared), _comparison(compared, titles)]
    if not shown:
        blocks.append(Note("The customer has no subscription."))
    if len(details.comparisons) > SHOWN_SUBSCRIPTIONS:
        more = list_url("billing.subscriptionstate", organization__id__exact=details.organization.pk)
        hidden = len(details.comparisons) - SHOWN_SUBSCRIPTIONS
        blocks.append(Facts((("More subscriptions", Cell(f"View {hidden} more", more)),)))
    if details.may("billing.operate_billing") and BillingManager.is_configured():
        blocks.append(Fragment("backoffice/organization/blocks/compare.html"))
    return blocks


def _customer(details: OrganizationDetails) -> Facts:
    account = details.account
    assert account is not None
    customer = Cell(str(account.stripe_customer_id), dashboard_link("customers", account.stripe_customer_id), external=True)
    if account.customer_deleted_at:
        customer = Cell(customer.text, lines=(f"Deleted at Stripe, {moment(account.customer_deleted_at)}",))
    card = (account.payment_method or {}).get("last4")
    brand = (account.payment_method or {}).get("brand") or (account.payment_method or {}).get("type") or ""
    return Facts(
        (
            ("Stripe customer", customer),
            ("Payment method", Cell(f"{brand} ending in {card}" if card else brand or "None")),
            ("Trial used", Cell(moment(account.trial_used_at, "No"))),
            ("Last sync", Cell(moment(account.synced_at, "Never"))),
        )
    )


def _subscription(compared: ComparedSubscription) -> Facts:
    link = dashboard_link("subscriptions", compared.subscription_id)
    facts = [("Subscription at Stripe", Cell(compared.subscription_id, link, external=True))]
    if compared.state is not None:
        facts.append(
            (
                "Subscription here",
                Cell(f"{words(compared.state.status)}, started {moment(compared.state.started_at)}", object_url(compared.state)),
            )
        )
    return Facts(tuple(facts), title=f"Subscription {compared.subscription_id}")


def _comparison(compared: ComparedSubscription, titles: dict[int, str]) -> Table:
    currency = compared.state.currency if compared.state else "usd"
    rows = tuple(_field_row(compared, field, currency, titles) for field in compared.fields if field.here or field.at_stripe)
    note = "No differences as of the last sync." if not compared.differs else ""
    if compared.state is None:
        note = "This subscription exists at Stripe but not in the local data. Sync from Stripe to add it."
    elif not compared.mirrored:
        note = "This subscription exists in the local data but not in the Stripe mirror. Compare with Stripe to find the correct state."
    elif compared.differs:
        note = "Some values differ. Sync from Stripe to fix them."
    return Table(("", "Here", "At Stripe (mirror)"), rows, "", note=note)


def _field_row(compared: ComparedSubscription, field: ComparedField, currency: str, titles: dict[int, str]) -> Row:
    name = _NAMES.get(field.name, words(field.name).capitalize())
    here = _text(field.name, field.here, currency, titles) if compared.state is not None else "Missing"
    there = _text(field.name, field.at_stripe, currency, titles) if compared.mirrored else "Missing"
    if not field.differs:
        return row(name, here, there)
    return row(name, here, Cell(there, lines=("Differs",)), marked=True)


def _text(name: str, value: Any, currency: str, titles: dict[int, str]) -> str:
    if value in (None, "", []):
        return "-"
    formats: dict[str, Callable[[Any], str]] = {
        "plan_version_id": lambda key: titles.get(key, str(key)),
        "unit_amount": lambda amount: money(amount, currency),
        "upcoming_change": lambda change: _change(change, currency),
        "discounts": lambda discounts: ", ".join(str(each.get("code") or each.get("name") or each.get("coupon")) for each in discounts),
        "status": words,
        "collection_paused": words,
    }
    return moment(value) if isinstance(value, datetime) else formats.get(name, str)(value)


def _change(change: dict[str, Any], currency: str) -> str:
    price = f"{money(change['amount'], currency)} per {change['interval']}"
    return f"{change['plan']} version {change['version']}, {price}, from {moment(at(change['at']))}"


def _plan_titles(compared: Sequence[ComparedSubscription]) -> dict[int, str]:
    """Return the plan versions in the compared columns. Those of the rows here are loaded already."""
    versions = {each.state.plan_version_id: each.state.plan_version for each in compared if each.state and each.state.plan_version}
    ids = {field.at_stripe for each in compared for field in each.fields if field.name == "plan_version_id" and field.at_stripe}
    others = PlanVersion.objects.in_bulk(ids - versions.keys()) if ids - versions.keys() else {}
    return {key: f"{version.plan} version {version.version}" for key, version in {**versions, **others}.items() if key and version}


PANEL = Panel("subscription", "Local and Stripe subscription", ("billing.view_subscriptionstate", "billing.view_billingaccount"), read)
