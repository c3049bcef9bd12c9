"""Overage: whether it is enabled, its cap, and the units spent, reported to Stripe and pending."""

from collections.abc import Sequence

from django.db.models import Sum

from billing.models import MeterReport
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import Block, Cell, Facts, Note, money, number
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.common.admin_links import list_url
from entitlements.catalog import CATALOG


def read(details: OrganizationDetails) -> Sequence[Block]:
    overage = details.overage
    if overage is None:
        return [Note("Not available: the plan in effect offers no overage, or does not come from a subscription.")]
    usage = details.usage_of(overage.feature)
    units = usage.overage if usage else 0
    spent = units * overage.unit_amount
    cap_reached = overage.enabled and overage.cap is not None and spent + overage.unit_amount > overage.cap
    state = (
        Cell("Cap reached", tone="danger")
        if cap_reached
        else Cell("On", tone="success")
        if overage.enabled
        else Cell("Off", tone="neutral")
    )
    price = money(overage.unit_amount, overage.currency)
    reports = _reports(details, overage.feature)
    sent, pending, dead = (
        reports.get(state.value, 0) for state in (MeterReport.State.SENT, MeterReport.State.PENDING, MeterReport.State.DEAD)
    )
    more = list_url("billing.meterreport", organization__id__exact=details.organization.pk)
    facts = [
        ("Feature", Cell(f"{CATALOG.feature_title(overage.feature)} at {price} per unit")),
        ("State", state),
        ("Monthly spending cap", Cell(money(overage.cap, overage.currency, "None while overage is off"))),
        ("Used beyond the quota", Cell(f"{number(units)} units, {money(spent, overage.currency)}")),
        ("Reported to Stripe", Cell(f"{number(sent)} units", more)),
        ("Waiting to be sent", Cell(f"{number(pending)} units")),
    ]
    if overage.enabled:
        billable = units if overage.cap is None else min(units, overage.cap // overage.unit_amount) if overage.unit_amount else 0
        facts.append(("Not yet reported", Cell(f"{number(max(0, billable - sent - pending))} units")))
    if dead:
        facts.append(("Rejected by Stripe", Cell(f"{number(dead)} units", more, tone="danger")))
    return [Facts(tuple(facts))]


def _reports(details: OrganizationDetails, feature: str) -> dict[str, int]:
    """Return the units reported in the current usage month by the state of their reports."""
    period = details.entitlements.features[feature].period(details.present)
    rows = MeterReport.objects.filter(organization=details.organization, feature=feature, period_start=period.start, repair=False)
    return dict(rows.order_by().values_list("state").annotate(Sum("units")))


PANEL = Panel("overage", "Overage", ("usage.view_overagesetting", "billing.view_meterreport"), read)
