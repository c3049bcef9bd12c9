"""Sentences about plans: grants, overrides and published versions. Reasons and references are for staff only."""

from typing import Any

from contextmcp.web.activity.types import Kind
from entitlements.catalog import CATALOG
from entitlements.types import Kind as FeatureKind
from entitlements.types import Source

from .registry import Context, day, fixed, plan, sentence


def _grant_key(event: Any) -> str:
    return str(event.target).removeprefix("grant:")


def _until(ends: object) -> str:
    return f" until {day(ends)}" if ends else ""


@sentence("grant.created", kind=Kind.PLAN, model="entitlements.grant", target=_grant_key)
def _granted(context: Context) -> str:
    title, source, until = plan(context, context.after("plan")), context.after("source"), _until(context.after("ends_at"))
    if source == Source.TRIAL:
        return context.by_actor(f"granted a trial of the {title} plan{until}", f"the trial of the {title} plan began{_ends(context)}")
    free = " for free" if source == Source.GIFT else ""
    return context.by_actor(f"granted the {title} plan{free}{until}", f"the {title} plan began{_ends(context)}")


def _ends(context: Context) -> str:
    return f" and ends on {day(context.after('ends_at'))}" if context.after("ends_at") else ""


@sentence("grant.changed", kind=Kind.PLAN, model="entitlements.grant", target=_grant_key)
def _changed(context: Context) -> str:
    title, former, ends = plan(context, context.after("plan")), context.before("ends_at"), context.after("ends_at")
    if context.after("lapsed") and not context.before("lapsed"):
        return f"A payment is overdue. The {title} plan ends on {day(ends)} unless it is paid." if ends else f"The {title} plan lapsed."
    if context.before("lapsed") and not context.after("lapsed"):
        return f"The overdue payment for the {title} plan was received.{f' The plan ends on {day(ends)}.' if ends else ''}"
    if former == ends:
        return context.by_actor(f"changed the usage months of the {title} plan", f"The usage months of the {title} plan changed")
    if not ends:
        return context.by_actor(f"removed the end of the {title} plan", f"The {title} plan no longer has an end date")
    moved = f"from {day(former)} to {day(ends)}" if former else f"to {day(ends)}"
    return context.by_actor(f"moved the end of the {title} plan {moved}", f"The end of the {title} plan moved {moved}")


@sentence("grant.ended", kind=Kind.PLAN, model="entitlements.grant", target=_grant_key)
def _ended(context: Context) -> str:
    title, later = plan(context, context.after("plan")), context.after("ends_at")
    if later and day(later) > day(context.event.created_at.isoformat()):
        return context.by_actor(
            f"scheduled the {title} plan to end on {day(later)}", f"The {title} plan was scheduled to end on {day(later)}"
        )
    return context.by_actor(f"ended the {title} plan", f"The {title} plan ended")


def _value(feature: str, value: object) -> str:
    """Return the value of an override as text: "unlimited sessions", "5 seats", "at most 0 seats"."""
    declared = CATALOG.feature(feature)
    title = CATALOG.feature_title(feature)
    if isinstance(value, bool):
        return f"{title} {'on' if value else 'off'}"
    per_minute = " per minute" if declared and declared.kind is FeatureKind.RATE_LIMIT else ""
    if value is None:
        return f"{title} to unlimited"
    return f"the limit of {CATALOG.noun(feature)}{per_minute} to {value:,}" if isinstance(value, int) else f"{title} to {value}"


@sentence("override.created", kind=Kind.PLAN)
def _overridden(context: Context) -> str:
    what = f"{_value(context.event.target, context.after('value'))}{_until(context.after('ends_at'))}"
    return context.by_actor(f"set {what}", f"An exception set {what}")


@sentence("override.ended", kind=Kind.PLAN)
def _override_ended(context: Context) -> str:
    title = CATALOG.feature_title(context.event.target)
    return context.by_actor(f"ended the exception for {title}", f"The exception for {title} ended")


fixed("plan.published", "published the plan {target}", "The plan {target} was published", kind=Kind.INTERNAL, shown=False)
