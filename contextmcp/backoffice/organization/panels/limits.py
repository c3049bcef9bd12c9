"""Every limit of the plan, with its usage, overrides and reset time."""

from collections.abc import Sequence

from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import Block, Cell, Facts, Row, Table, Tone, action_link, number, person, row
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url
from contextmcp.common.text import words
from entitlements.catalog import CATALOG
from entitlements.types import FeatureEntitlement, Kind
from usage.selectors import FeatureUsage

COLUMNS = ("Feature", "Limit", "Used", "Held", "Remaining", "Resets", "Override")
NEARLY_USED = 0.8


def read(details: OrganizationDetails) -> Sequence[Block]:
    rows = tuple(_limit_row(details, usage) for usage in details.usage)
    more = list_url("usage.usagecounter", organization__id__exact=details.organization.pk)
    note = "Rate limits are counted in memory and have no stored use."
    return [Table(COLUMNS, rows, "The plan has no limits.", "", more, note), _booleans(details)]


def _limit_row(details: OrganizationDetails, usage: FeatureUsage) -> Row:
    entitlement = details.entitlements.features[usage.feature]
    limit = Cell(number(entitlement.limit), lines=(f"plus {usage.credited:,} credited",) if usage.credited else ())
    if usage.kind is Kind.RATE_LIMIT:
        return row(_name(usage), limit, "-", "-", "-", f"Every {usage.window_seconds} s", _override(details, entitlement))
    tone, state = _state(usage)
    remaining = Cell(number(usage.remaining), tone=tone, lines=(state,) if state else ())
    resets = moment(usage.resets_at, "Never (counts units in use)")
    held = number(usage.held) if usage.kind is Kind.QUOTA else "-"
    return row(_name(usage), limit, number(usage.used), held, remaining, resets, _override(details, entitlement))


def _name(usage: FeatureUsage) -> Cell:
    return Cell(CATALOG.feature_title(usage.feature), lines=(f"{usage.feature}, {words(usage.kind)}",))


def _state(usage: FeatureUsage) -> tuple[Tone, str]:
    used, included = usage.used or 0, usage.included
    if included is None:
        return "", ""
    if used > included:
        return "danger", f"{used - included:,} over the limit"
    if included and used >= included:
        return "danger", "Used up"
    return ("warning", "Nearly used up") if included and used >= NEARLY_USED * included else ("", "")


def _override(details: OrganizationDetails, entitlement: FeatureEntitlement) -> Cell:
    override = details.overrides.get(entitlement.feature) if details.may("entitlements.view_override") else None
    if override is None:
        may_override = details.may("entitlements.add_override") and not details.organization.closed_at
        return (
            Cell("Override", action_link(details.organization, "override-limit", feature=entitlement.feature))
            if may_override
            else Cell("-")
        )
    value = "unlimited" if override.value is None else str(override.value).lower()
    if not entitlement.overridden:
        return Cell(f"{value} (no effect)", object_url(override), lines=(f"ended {moment(override.ends_at)}",) if override.ends_at else ())
    until = f"until {moment(override.ends_at)}" if override.ends_at else "without an end"
    return Cell(value, object_url(override), lines=(until, f"{override.reason} ({person(override.created_by)})"))


def _booleans(details: OrganizationDetails) -> Facts:
    features = [each for each in details.entitlements.features.values() if each.kind is Kind.BOOLEAN]
    included = [_boolean(each) for each in features if each.enabled]
    missing = [_boolean(each) for each in features if not each.enabled]
    facts = (("Included features", Cell(", ".join(included) or "None")), ("Not included", Cell(", ".join(missing) or "None")))
    return Facts(facts)


def _boolean(entitlement: FeatureEntitlement) -> str:
    declared = CATALOG.feature(entitlement.feature)
    title = declared.title if declared else entitlement.feature
    return f"{title} (override)" if entitlement.overridden else title


PANEL = Panel("limits", "Limits and usage", ("usage.view_usagecounter",), read)
