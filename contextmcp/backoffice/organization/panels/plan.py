"""The plan in effect, and the grants that determine it."""

from collections.abc import Sequence

from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import Block, Cell, Facts, Row, Table, Tone, person, row
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url
from entitlements.explanation import Effect, ExplainedGrant
from entitlements.types import Source
from usage.selectors import period_at

COLUMNS = ("Grant", "Source", "From", "Until", "Effect")
_EFFECTS: dict[Effect, tuple[Tone, str]] = {
    Effect.APPLIES: ("success", "In effect"),
    Effect.LOWER_PLAN: ("neutral", "No effect: another grant has a higher plan"),
    Effect.BEHIND_SUBSCRIPTION: ("neutral", "No effect: the subscription has the same plan"),
    Effect.STARTED_EARLIER: ("neutral", "No effect: a later grant has the same plan"),
    Effect.STARTS_LATER: ("info", "Starts later"),
    Effect.ENDED: ("neutral", "Ended"),
    Effect.LAPSED: ("warning", "Ended: a payment failed"),
}


def read(details: OrganizationDetails) -> Sequence[Block]:
    entitlements = details.entitlements
    period = period_at(entitlements, details.present)
    facts = [
        ("Plan", Cell(f"{entitlements.plan_title} (version {entitlements.plan_version})")),
        ("Reason", Cell(_reason(details))),
        ("Usage month", Cell(f"{moment(period.start)} to {moment(period.end)}")),
        ("Next change", Cell(moment(entitlements.changes_at, "No scheduled changes to the plan or overrides"))),
    ]
    if entitlements.lapsed_plan:
        facts.append(("Lost", Cell(f"The plan {entitlements.lapsed_plan} ended because a payment failed", tone="warning")))
    if not entitlements.active:
        facts.append(("Access", Cell("None: the organization is closed", tone="danger")))
    # The free plan is listed as well, because it applies when the other grants end.
    fallback = row("Free plan", "-", moment(details.organization.created_at), "-", _fallback(entitlements.source))
    rows = [_grant_row(each) for each in details.explained_grants]
    more = list_url("entitlements.grant", organization__id__exact=details.organization.pk)
    return [Facts(tuple(facts)), Table(COLUMNS, (*rows, fallback), "", "Current and upcoming grants", more)]


def _grant_row(explained: ExplainedGrant) -> Row:
    grant = explained.grant
    tone, text = _EFFECTS[explained.effect]
    lines = [text for text in (grant.reference, grant.reason) if text]
    source = Cell(grant.source, lines=(f"by {person(grant.created_by)}",))
    plan = Cell(str(grant.plan_version), object_url(grant), lines=tuple(lines))
    return row(plan, source, moment(grant.starts_at), moment(grant.ends_at, "No end"), _effect(tone, text))


def _effect(tone: Tone, text: str) -> Cell:
    """Return the effect as a badge with its reason below."""
    label, _, reason = text.partition(": ")
    return Cell(label, tone=tone, lines=(reason[:1].upper() + reason[1:],) if reason else ())


def _fallback(source: Source) -> Cell:
    return Cell("In effect", tone="success") if source is Source.FREE else _effect("neutral", "No effect: a grant applies")


def _reason(details: OrganizationDetails) -> str:
    winner = next((each.grant for each in details.explained_grants if each.effect is Effect.APPLIES), None)
    if winner is None:
        return "No grant is active, so the free plan applies."
    why = f": {winner.reason}" if winner.reason else ""
    if winner.source == Source.SUBSCRIPTION:
        return f"The subscription {winner.reference} grants it."
    until = f" until {moment(winner.ends_at)}" if winner.ends_at else " without an end"
    return f"Granted by {person(winner.created_by)} ({winner.source}){until}{why}"


PANEL = Panel("plan", "Plan in effect", ("entitlements.view_grant",), read)
