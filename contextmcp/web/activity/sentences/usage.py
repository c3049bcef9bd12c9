"""Sentences about corrections of usage, which the vendor's servers and staff make."""

from typing import Any

from contextmcp.web.activity.names import enumerate_words
from contextmcp.web.activity.types import Kind
from entitlements.catalog import CATALOG

from .registry import Context, amount, fixed, sentence


def _amounts(context: Context) -> str:
    totals = {name: number for name, number in (context.event.after or {}).items() if isinstance(number, int) and CATALOG.feature(name)}
    return enumerate_words(amount(name, abs(number)) for name, number in totals.items()) if totals else "usage"


@sentence("usage.corrected", kind=Kind.USAGE)
def _corrected(context: Context) -> str:
    return context.by_actor(f"reduced the counted usage by {_amounts(context)}", f"The counted usage was reduced by {_amounts(context)}")


@sentence("usage.credited", kind=Kind.USAGE)
def _credited(context: Context) -> str:
    return context.by_actor(f"credited {_amounts(context)} in this period", f"A credit of {_amounts(context)} was added in this period")


def _feature(context: Context) -> Any:
    return CATALOG.noun(context.event.target)


@sentence("usage.gauge_set", kind=Kind.INTERNAL, shown=False)
def _gauge_set(context: Context) -> str:
    value = context.after("value")
    former = context.before("value")
    change = f"from {former} to {value}" if former is not None else f"to {value}"
    return context.by_actor(f"set the number of {_feature(context)} {change}", f"The number of {_feature(context)} was set {change}")


@sentence("usage.gauge_decreased", kind=Kind.INTERNAL, shown=False)
def _gauge_decreased(context: Context) -> str:
    return context.by_actor(f"decreased the number of {_feature(context)}", f"The number of {_feature(context)} was decreased")


fixed(
    "usage.hold_ended",
    "settled a hold for less than the held amount",
    "A hold was settled for less than the held amount",
    kind=Kind.INTERNAL,
    shown=False,
)
