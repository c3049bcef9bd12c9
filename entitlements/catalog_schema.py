"""Types of the plan catalog and its validation."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import pairwise
from typing import Any, Literal

import msgspec
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import get_language

from contextmcp.common.text import words

from .errors import UnknownPlan
from .types import FailureMode, Kind

Interval = Literal["month", "year"]
Value = bool | int | None
# By language and by the text in the catalog.
Translations = dict[str, dict[str, str]]


def translated(translations: Translations, text: str) -> str:
    """Return a text of the catalog in the reader's language, or the text itself if it has no translation."""
    return translations.get(get_language() or "", {}).get(text, text)


class Feature(msgspec.Struct, frozen=True):
    """A feature and its presentation. Published plan versions contain none of these fields.

    `failure_mode` decides whether calls are allowed while the database is unavailable. With `derived_from` "members", the value is the
    number of members, and the limit is the number of seats. `highlight` is the position on the cards of the pricing page, and
    `home` the position on the account's overview; without a position the feature is not shown there. The pricing page shows `question` and
    `answer`.
    """

    name: str
    kind: Kind
    title: str
    summary: str = ""
    unit: str = ""
    failure_mode: FailureMode = "fail_closed"
    group: str = "Included"
    singular: str = ""
    plural: str = ""
    highlight: int | None = None
    home: int | None = None
    derived_from: Literal["members"] | None = None
    question: str = ""
    answer: str = ""
    translations: Translations = {}

    @property
    def plural_noun(self) -> str:
        """Return the word for several units, in the language of the catalog."""
        return self.plural or self.title.lower()

    @property
    def singular_noun(self) -> str:
        """Return the word for one unit, in the language of the catalog."""
        return self.singular or self.plural_noun

    def noun(self, amount: int | None = None) -> str:
        """Return the word that follows an amount, in the reader's language. None is an unlimited amount."""
        return translated(self.translations, self.singular_noun if amount == 1 else self.plural_noun)

    @property
    def texts(self) -> set[str]:
        """Return the texts that pages show, in the language of the catalog."""
        texts = {self.title, self.summary, self.unit, self.group, self.question, self.answer, self.plural_noun, self.singular_noun}
        return texts - {""}


class Price(msgspec.Struct, frozen=True):
    """A price: `amount` in minor units of `currency`, per `interval`."""

    interval: Interval
    amount: int
    currency: str


class Overage(msgspec.Struct, frozen=True):
    """The price of one unit beyond the limit, in minor units of `currency`."""

    unit_amount: int
    currency: str


class FeatureValue(msgspec.Struct, frozen=True, omit_defaults=True):
    """A plan's value of a feature: a bool for boolean features, otherwise a number, or None for unlimited."""

    kind: Kind
    value: Value
    overage: Overage | None = None

    @property
    def grants(self) -> bool:
        """Return whether the value allows any use: it is neither False nor 0."""
        return self.value is not False and self.value != 0


class Plan(msgspec.Struct, frozen=True):
    """One version of a plan with everything that is published and stored."""

    name: str
    version: int
    title: str
    summary: str = ""
    trial_days: int = 0
    prices: tuple[Price, ...] = ()
    features: dict[str, FeatureValue] = {}

    def price(self, interval: str) -> Price | None:
        """Return the price for "month" or "year", or None if there is none."""
        return next((price for price in self.prices if price.interval == interval), None)

    def grants(self, feature: str) -> bool:
        """Return whether the plan includes the feature."""
        return feature in self.features and self.features[feature].grants

    def document(self) -> dict[str, Any]:
        """Return the plan as a JSON document, which `parse_plan` reads."""
        document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return document


class Question(msgspec.Struct, frozen=True):
    """A question and its answer, which the pricing page shows."""

    question: str
    answer: str


def parse_plan(document: Mapping[str, Any]) -> Plan:
    """Return the plan of a published document."""
    return msgspec.convert(document, Plan)


class Catalog(msgspec.Struct, frozen=True):
    """Features, and plans in ascending order. Raises `ImproperlyConfigured` with every fault if it is not valid.

    `recommended` is the plan that the pricing page recommends. `price_id_variables` names, by plan and interval, the environment variables
    that can configure a price's id at the payment provider. `contacts` has the URL to ask for each plan that is sold by agreement and
    has no price. The pricing page shows the `questions`.
    """

    features: tuple[Feature, ...]
    plans: tuple[Plan, ...]
    recommended: str = ""
    price_id_variables: dict[tuple[str, str], str] = {}
    contacts: dict[str, str] = {}
    questions: tuple[Question, ...] = ()
    translations: Translations = {}

    def __post_init__(self) -> None:
        faults = [
            *catalog_faults(self.features, self.plans, self.contacts),
            *translation_faults(self.translations, self.features, self.plans, self.questions),
        ]
        if faults:
            raise ImproperlyConfigured("The catalog is not valid: " + " ".join(faults))

    @property
    def free(self) -> Plan:
        """The plan of organizations without a grant."""
        return self.plans[0]

    @property
    def currency(self) -> str:
        """The currency of the prices; "usd" if nothing has a price."""
        return next((price.currency for plan in self.plans for price in plan.prices), "usd")

    @property
    def main_meter(self) -> Feature | None:
        """The quota that charts and figures show: the first quota on the account's overview, or else the first quota of the catalog."""
        quotas = [feature for feature in self.features if feature.kind is Kind.QUOTA]
        return min(quotas, key=lambda quota: quota.home or len(self.features) + 1, default=None)

    @property
    def seats(self) -> Feature | None:
        """The feature that limits the number of members, or None if no plan limits it."""
        return next((feature for feature in self.features if feature.derived_from == "members"), None)

    def plan(self, name: str) -> Plan:
        for plan in self.plans:
            if plan.name == name:
                return plan
        raise UnknownPlan.named(name)

    def feature(self, name: str) -> Feature | None:
        return next((feature for feature in self.features if feature.name == name), None)

    def rank(self, plan: str) -> int:
        """Return the plan's position in the catalog, or 0 for a plan that is no longer in it."""
        return next((place for place, known in enumerate(self.plans) if known.name == plan), 0)

    def plan_title(self, name: str) -> str:
        """Return the plan's title in the reader's language. For a plan that is no longer in the catalog, it is derived from the name."""
        return next((self.text(plan.title) for plan in self.plans if plan.name == name), words(name).capitalize())

    def feature_title(self, name: str) -> str:
        """Return the feature's title in the reader's language. For one that is no longer in the catalog, it is derived from the name."""
        declared = self.feature(name)
        return self.text(declared.title) if declared else words(name).capitalize()

    def text(self, text: str) -> str:
        """Return a text of the catalog in the reader's language."""
        return translated(self.translations, text)

    def noun(self, feature: str, amount: int | None = None) -> str:
        """Return the noun that follows an amount of the feature. The default is the plural."""
        declared = self.feature(feature)
        return declared.noun(amount) if declared else words(feature)


def translation_faults(
    translations: Translations, features: Iterable[Feature], plans: Iterable[Plan], questions: Iterable[Question]
) -> Iterator[str]:
    """Yield a sentence for each translation of a text that the catalog does not contain."""
    texts = {text for feature in features for text in feature.texts} | {text for plan in plans for text in (plan.title, plan.summary)}
    texts |= {text for question in questions for text in (question.question, question.answer)}
    for language, entries in translations.items():
        for text in entries.keys() - texts:
            yield f'The translations for "{language}" have "{text}", which is not a text of the catalog.'


def catalog_faults(
    features: Sequence[Feature],
    plans: Sequence[Plan],
    contacts: Mapping[str, str],
    *,
    unread: Set[str] = frozenset(),
    whole: bool = True,
) -> Iterator[str]:
    """Yield a sentence for each rule that the catalog breaks.

    `unread` are the names of features whose own entry is not valid; their values are not checked. Without `whole`, plans whose entry is not
    valid are missing, so the order of plans is not checked.
    """
    kinds = {feature.name: feature.kind for feature in features}
    yield from _feature_faults(features)
    for name in _repeated(plan.name for plan in plans):
        yield f'The plan "{name}" is declared twice.'
    for plan in plans:
        yield from _plan_faults(plan, kinds, unread)
    if not whole:
        return
    if not plans:
        yield "The catalog has no plan: declare at least one free plan."
    elif plans[0].prices or plans[0].trial_days:
        yield f'The plan "{plans[0].name}" is the first plan, which is free for every organization, so it cannot have a price or a trial.'
    for plan in plans[1:]:
        if not plan.prices and plan.name not in contacts:
            yield f'The plan "{plan.name}" has no price: only the first plan is free, and a plan that is sold by agreement needs "contact".'
    for plan in plans:
        if plan.name in contacts and (plan.prices or plan is plans[0]):
            yield f'The plan "{plan.name}" has "contact", which only a plan without prices after the first plan can have.'
    for less, more in pairwise(plans):
        # `resolve` prefers the grant with the higher plan, which requires that each plan includes the previous one.
        for name, term in less.features.items():
            if name in kinds and not _includes(more.features.get(name), term):
                yield f'The plan "{more.name}" has less of "{name}" than the plan "{less.name}" before it: put plans in ascending order.'


def _feature_faults(features: Sequence[Feature]) -> Iterator[str]:
    for name in _repeated(feature.name for feature in features):
        yield f'The feature "{name}" is declared twice.'
    derived = [feature for feature in features if feature.derived_from]
    if len(derived) > 1:
        yield f"Only one feature can be derived from the members, but {', '.join(feature.name for feature in derived)} are."
    for feature in features:
        if feature.derived_from and feature.kind is not Kind.GAUGE:
            yield f'The feature "{feature.name}" is derived from the members, so its kind must be gauge.'
        if bool(feature.question) is not bool(feature.answer):
            yield f'The feature "{feature.name}" has a question without an answer, or an answer without a question.'


def _plan_faults(plan: Plan, kinds: Mapping[str, Kind], unread: Set[str]) -> Iterator[str]:
    subject = f'The plan "{plan.name}"'
    if plan.version < 1:
        yield f"{subject} has version {plan.version}: versions start at 1."
    for interval in _repeated(price.interval for price in plan.prices):
        yield f"{subject} has more than one price for a {interval}."
    if any(price.amount <= 0 for price in plan.prices):
        yield f"{subject} has a price that is not above zero."
    if len({price.currency for price in plan.prices}) > 1:
        yield f"{subject} has prices in more than one currency."
    if plan.trial_days < 0 or (plan.trial_days and not plan.prices):
        yield f"{subject} has {plan.trial_days} trial days: a trial needs a price, and a number of days that is not below zero."
    for name, term in plan.features.items():
        if name in unread:
            continue
        if kinds.get(name) is not term.kind:
            yield f'{subject} names "{name}", which is not declared as a feature of kind {term.kind}.'
        elif not valid_value(term.kind, term.value):
            yield f'{subject}: "{name}" cannot be {term.value!r}, because it is a {term.kind}.'
        if term.overage:
            yield from _overage_faults(plan, name, term)


def _overage_faults(plan: Plan, name: str, term: FeatureValue) -> Iterator[str]:
    assert term.overage is not None
    subject = f'The plan "{plan.name}": overage of "{name}"'
    if term.kind is not Kind.QUOTA or term.value is None:
        yield f"{subject} needs a quota with a limit."
    if term.overage.unit_amount <= 0:
        yield f"{subject} needs a unit price above zero."
    if any(price.currency != term.overage.currency for price in plan.prices):
        yield f"{subject} is not in the currency of the plan's prices."
    if not plan.prices:
        yield f"{subject} is invoiced with the subscription, so the plan must have a price."


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def valid_value(kind: Kind, value: Value) -> bool:
    """Return whether a feature of this kind can have this value."""
    if kind is Kind.BOOLEAN:
        return isinstance(value, bool)
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**53)


def _includes(more: FeatureValue | None, less: FeatureValue) -> bool:
    if more is None:
        return not less.grants
    return more.value is None or (less.value is not None and more.value >= less.value)
