"""The header of an organization's page: the plan in one sentence, and status badges."""

from accounts.models import Membership
from accounts.roles import Role
from billing.models import SubscriptionState
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_base import clock_note, clock_offset
from contextmcp.common.text import words
from entitlements.catalog import CATALOG
from entitlements.explanation import Effect
from entitlements.types import Source

from .details import OrganizationDetails
from .display import Cell, Tone, money

_STATUS_TONES: dict[str, Tone] = {
    "active": "success",
    "trialing": "info",
    "past_due": "danger",
    "unpaid": "danger",
    "incomplete": "warning",
}


def plan_sentence(details: OrganizationDetails) -> str:
    """Return the plan in effect and its next change, limited to what the user may view."""
    if not details.may("entitlements.view_grant"):
        return ""
    title = details.entitlements.plan_title
    state = details.subscription if details.may("billing.view_subscriptionstate") else None
    if details.entitlements.source is Source.SUBSCRIPTION and state is not None:
        return f"{title}, {_price(state)}{_renewal(state)}."
    winner = next((each.grant for each in details.explained_grants if each.effect is Effect.APPLIES), None)
    if winner is not None:
        until = f" until {moment(winner.ends_at)}" if winner.ends_at else ""
        return f"{title}, granted ({winner.source}){until}."
    return f"{title}, without a subscription."


def _price(state: SubscriptionState) -> str:
    return f"{money(state.amount, state.currency, 'price unknown')} per {state.interval or 'period'}"


def _renewal(state: SubscriptionState) -> str:
    if state.status == "past_due":
        return f", payment overdue since {moment(state.past_due_since)}, access ends {moment(state.grace_until)}"
    if state.cancel_at:
        return f", canceled, ends {moment(state.cancel_at)}"
    change = state.upcoming_change
    if change:
        return f", changes to {CATALOG.plan_title(change['plan'])} at the end of the period, {moment(state.current_period_end)}"
    if state.status == "trialing":
        return f", {'in trial' if state.on_first_trial else 'next payment postponed'} until {moment(state.trial_end)}"
    return f", renews {moment(state.current_period_end)}"


def badges(details: OrganizationDetails) -> list[Cell]:
    """Return the status badges of the organization and of its subscription."""
    organization = details.organization
    cells = [Cell("Closed", tone="danger") if organization.closed_at else Cell("Open", tone="success")]
    state = details.subscription if details.may("billing.view_subscriptionstate") else None
    if state is not None:
        cells.append(Cell(f"Subscription {words(state.status)}", tone=_STATUS_TONES.get(state.status, "neutral")))
        if state.is_live and state.collection_paused:
            cells.append(Cell("Collection paused", tone="warning"))
        if state.is_live and state.cancel_at:
            cells.append(Cell("Cancels", tone="warning"))
    if note := clock_note(organization):
        cells.append(Cell(note, tone="info"))
    return cells


def clock_sentence(details: OrganizationDetails) -> str:
    """Return a warning about the dates of an organization with a Stripe test clock, or "" without one."""
    offset = clock_offset(details.organization)
    return f"This organization uses a Stripe test clock that is {offset}. Its dates are not in real time." if offset else ""


def facts(details: OrganizationDetails) -> list[tuple[str, Cell]]:
    """Return the facts that identify the organization."""
    organization = details.organization
    rows = [("Owner", Cell(_owner_email(details) or "None"))] if details.may("accounts.view_membership") else []
    rows += [
        ("Billing email", Cell(organization.email)),
        ("Created", Cell(moment(organization.created_at))),
        ("ID", Cell(str(organization.pk))),
        ("Slug", Cell(organization.slug)),
    ]
    if organization.closed_at:
        rows.insert(0, ("Closed", Cell(moment(organization.closed_at))))
    return rows


def _owner_email(details: OrganizationDetails) -> str:
    """Return the address of the owner who joined first, or "" if there is none."""
    owners = Membership.objects.filter(organization=details.organization, role=Role.OWNER).order_by("created_at", "id")
    return owners.values_list("user__email", flat=True).first() or ""
