"""The shape of a catalogue, and what makes one valid."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from django.core.exceptions import ImproperlyConfigured

from .errors import UnknownPlan
from .types import Kind, OnOutage

Interval = Literal["month", "year"]
Value = bool | int | None


class Feature(msgspec.Struct, frozen=True):
    """What can be had. `on_outage` says what a call gets while the database cannot be reached."""

    name: str
    kind: Kind
    title: str
    summary: str = ""
    unit: str = ""
    on_outage: OnOutage = "refuse"
    group: str = "Included"


class Price(msgspec.Struct, frozen=True):
    """`amount` in minor units of `currency`, per `interval`."""

    interval: Interval
    amount: int
    currency: str


class Overage(msgspec.Struct, frozen=True):
    """What one unit over the limit costs, in minor units."""

    unit_amount: int
    currency: str


class Term(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much of a feature a plan has: a flag's bool, or a number; None is unlimited."""

    kind: Kind
    value: Value
    overage: Overage | None = None

    @property
    def grants(self) -> bool:
        """Whether there is anything to be had: 0 of something is nothing."""
        return self.value is not False and self.value != 0


class Plan(msgspec.Struct, frozen=True):
    """One version of one plan, complete in itself: this is what is published and kept."""

    name: str
    version: int
    title: str
    summary: str = ""
    trial_days: int = 0
    prices: tuple[Price, ...] = ()
    features: dict[str, Term] = {}

    def price(self, interval: str) -> Price | None:
        """The price for "month" or "year", or None where it is not sold so."""
        return next((price for price in self.prices if price.interval == interval), None)

    def grants(self, feature: str) -> bool:
        """Whether the plan has it at all."""
        return feature in self.features and self.features[feature].grants

    def document(self) -> dict[str, Any]:
        """The plan as JSON; `read` gives it back."""
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain


def read(document: Mapping[str, Any]) -> Plan:
    """A plan from its published document."""
    return msgspec.convert(document, Plan)


class Catalog(msgspec.Struct, frozen=True):
    """Plans from the least to the most, and the features they are made of. An invalid one stops start-up and says why."""

    features: tuple[Feature, ...]
    plans: tuple[Plan, ...]

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise ImproperlyConfigured("The catalogue is not valid: " + " ".join(problems))

    @property
    def free(self) -> Plan:
        return self.plans[0]

    def plan(self, name: str) -> Plan:
        for plan in self.plans:
            if plan.name == name:
                return plan
        raise UnknownPlan.named(name)

    def feature(self, name: str) -> Feature | None:
        return next((feature for feature in self.features if feature.name == name), None)

    def rank(self, plan: str) -> int:
        """Its place in the catalogue; a plan that is no longer in it ranks with the lowest."""
        return next((place for place, known in enumerate(self.plans) if known.name == plan), 0)


def _problems(catalog: Catalog) -> Iterator[str]:
    kinds = {feature.name: feature.kind for feature in catalog.features}
    names = [plan.name for plan in catalog.plans]
    if len(kinds) < len(catalog.features):
        yield "A feature is declared twice."
    if not names or len(set(names)) < len(names):
        yield "There must be plans, each declared once."
    elif catalog.free.prices or catalog.free.trial_days:
        yield "The first plan is what everybody has: it can have no price and no trial."
    for plan in catalog.plans:
        yield from _plan_problems(plan, kinds)
    for less, more in zip(catalog.plans, catalog.plans[1:], strict=False):
        # The best of several grants wins by place, which is only right when each plan includes the one before.
        for name, term in less.features.items():
            if not _includes(more.features.get(name), term):
                yield f"{more.name} has less {name} than {less.name}."


def _plan_problems(plan: Plan, kinds: Mapping[str, Kind]) -> Iterator[str]:
    if plan.version < 1:
        yield f"{plan.name}: versions count from 1."
    intervals = [price.interval for price in plan.prices]
    if len(set(intervals)) < len(intervals) or any(price.amount <= 0 for price in plan.prices):
        yield f"{plan.name}: one price an interval, above zero."
    if len({price.currency for price in plan.prices}) > 1:
        yield f"{plan.name}: all prices in one currency."
    if plan.trial_days < 0 or (plan.trial_days and not plan.prices):
        yield f"{plan.name}: a trial is of something that has a price."
    for name, term in plan.features.items():
        if kinds.get(name) is not term.kind:
            yield f"{plan.name}: {name} is not declared as a {term.kind}."
        elif not valid_value(term.kind, term.value):
            yield f"{plan.name}: {name} cannot be {term.value!r}."
        if term.overage and (term.kind is not Kind.QUOTA or term.value is None or term.overage.unit_amount <= 0):
            yield f"{plan.name}: overage needs a quota with an end and a price, {name} has not."


def valid_value(kind: Kind, value: Value) -> bool:
    """Whether a feature of this kind can have this value."""
    if kind is Kind.FLAG:
        return isinstance(value, bool)
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**53)


def _includes(more: Term | None, less: Term) -> bool:
    if more is None:
        return not less.grants
    return more.value is None or (less.value is not None and more.value >= less.value)
