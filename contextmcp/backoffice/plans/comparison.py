"""Plan versions side by side, as text, with the number of organizations on each."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from django.db.models import Count
from django.urls import reverse

from billing.models import SubscriptionState
from contextmcp.common.admin_links import list_url
from contextmcp.common.clock import now
from contextmcp.common.money import format_amount
from contextmcp.common.text import words
from contextmcp.web import pricing
from entitlements.catalog import CATALOG, Catalog, Plan
from entitlements.models import Grant, PlanVersion
from entitlements.services.publish import plan_publish
from entitlements.types import Source

# Older versions are in the list of plan versions.
MAX_VERSIONS = 4
NOT_INCLUDED = "Not included"
_STATUSES = {"active": "active", "trialing": "in trial", "past_due": "past due"}


@dataclass(frozen=True)
class Users:
    """The number of organizations on a version as text, and the URL of their list."""

    text: str
    url: str


@dataclass(frozen=True)
class Column:
    """A version of a plan. It is not published yet if it has no time of publication."""

    title: str
    published_at: datetime | None
    users: tuple[Users, ...] = ()


@dataclass(frozen=True)
class Cell:
    """A version's value as text, and whether it differs from the previous version."""

    text: str
    changed: bool = False


@dataclass(frozen=True)
class Row:
    title: str
    cells: tuple[Cell, ...]

    @property
    def changed(self) -> bool:
        return any(cell.changed for cell in self.cells)


@dataclass(frozen=True)
class PlanTable:
    """The versions of one plan, newest first. `older` is the number of versions that are not shown."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    older: int
    versions_url: str


def plan_tables(catalog: Catalog = CATALOG) -> list[PlanTable]:
    """Return the plans of the catalog in its order, then the plans that are published but no longer in the catalog.

    A version that the catalog file declares and that is not published yet comes first. The number of queries does not depend on the plans.
    """
    versions = defaultdict(list)
    for version in PlanVersion.objects.order_by("plan", "-version"):
        versions[version.plan].append(version)
    unpublished = {change.plan for change in plan_publish(catalog) if change.state == "new"}
    users = _users()
    declared = {plan.name: plan for plan in catalog.plans}
    names = [*declared, *(name for name in versions if name not in declared)]
    return [_table(name, versions[name], declared[name] if name in unpublished else None, users) for name in names]


def _table(name: str, versions: list[PlanVersion], unpublished: Plan | None, users: dict[int, tuple[Users, ...]]) -> PlanTable:
    shown = versions[:MAX_VERSIONS]
    columns = [Column(f"Version {version.version}", version.published_at, users.get(version.pk, ())) for version in shown]
    terms = [version.terms for version in versions[: MAX_VERSIONS + 1]]
    if unpublished is not None:
        columns.insert(0, Column(f"Version {unpublished.version}", None))
        terms.insert(0, unpublished)
    rows = tuple(
        _row(title, [words.get(title, NOT_INCLUDED) for words in map(dict, map(in_words, terms))], len(columns)) for title in _titles(terms)
    )
    url = f"{reverse('admin:entitlements_planversion_changelist')}?plan__exact={name}"
    return PlanTable(name, CATALOG.plan_title(name), tuple(columns), rows, len(versions) - len(shown), url)


def _titles(terms: Iterable[Plan]) -> list[str]:
    return list(dict.fromkeys(title for plan in terms for title, _ in in_words(plan)))


def _row(title: str, texts: list[str], width: int) -> Row:
    """Return the cells of the shown versions. The oldest shown version is compared with the one before it, which is not shown."""
    changes = [newer != older for newer, older in pairwise(texts)]
    return Row(title, tuple(Cell(text, changed) for text, changed in zip(texts[:width], [*changes, False], strict=False)))


def in_words(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield the version's prices and features as pairs of title and text."""
    yield "Title", plan.title
    no_price = "By agreement" if plan.name in CATALOG.contacts else "Free"
    yield "Price", ", ".join(f"{format_amount(price.amount, price.currency)} per {price.interval}" for price in plan.prices) or no_price
    yield "Trial", f"{plan.trial_days} days" if plan.trial_days else "None"
    for name in (*(feature.name for feature in CATALOG.features), *(name for name in plan.features if CATALOG.feature(name) is None)):
        if name in plan.features:
            yield _feature_title(name), feature_in_words(plan, name)


def feature_in_words(plan: Plan, name: str) -> str:
    """Return the version's value of a feature, such as "1,000 per month, then $0.02 each"."""
    feature, term = CATALOG.feature(name), plan.features[name]
    value: bool | str = pricing.amount(feature, plan) if feature else str(term.value) if term.grants else False
    text = {True: "Included", False: NOT_INCLUDED}[value] if isinstance(value, bool) else value
    if term.overage:
        text += f", then {format_amount(term.overage.unit_amount, term.overage.currency)} each"
    return text


def _feature_title(name: str) -> str:
    return CATALOG.feature_title(name) + ("" if CATALOG.feature(name) else " (no longer in the catalog)")


def _users() -> dict[int, tuple[Users, ...]]:
    """Return the organizations on each version: subscriptions by status, and grants by staff. Takes two queries, both index-only scans."""
    users: dict[int, list[Users]] = defaultdict(list)
    live = SubscriptionState.objects.live().exclude(plan_version=None).order_by()
    subscriptions = list_url("billing.subscriptionstate")
    numbers: Counter[tuple[int, str]] = Counter()
    for version, status, number in live.values_list("plan_version_id", "status").annotate(number=Count("id")):
        numbers[version, status] = number
    for (version, status), number in sorted(numbers.items()):
        text = f"{number:,} {_STATUSES.get(status, words(status))}"
        users[version].append(Users(text, f"{subscriptions}?plan_version__id__exact={version}&status__exact={status}"))
    given = Grant.objects.current_or_future(at=now()).exclude(source=Source.SUBSCRIPTION).order_by()
    grants = list_url("entitlements.grant")
    for version, number in given.values_list("plan_version_id").annotate(Count("id")):
        text = f"{number:,} grant{'s' if number != 1 else ''} by staff"
        users[version].append(Users(text, f"{grants}?plan_version__id__exact={version}"))
    return {version: tuple(each) for version, each in users.items()}
