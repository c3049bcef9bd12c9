"""Queries for the work queue. Staff see the items of the objects that they may view."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet

from accounts.models import WorkItem
from contextmcp.common.admin_links import list_url
from contextmcp.common.clock import now

from .sources import SOURCES, Source

VIEW = "accounts.view_workitem"
SHOWN = 8


@dataclass(frozen=True)
class KindCount:
    """The number of open items of one kind, and the list of them."""

    kind: str
    title: str
    number: int
    url: str


@dataclass(frozen=True)
class Summary:
    """The work queue on the home page: the most important open items, and the number of all by kind."""

    items: list[WorkItem]
    kinds: list[KindCount]
    total: int
    mine: int
    url: str


def summary(user: Any) -> Summary | None:
    """Return the part of the work queue that `user` may view, or None if there is none. Takes three queries."""
    if not user.has_perm(VIEW):
        return None
    items = visible_items(user).open(at=now())
    kinds = open_counts(user)
    shown = list(items.select_related("organization", "owner")[:SHOWN])
    mine = items.filter(owner=user).order_by().count()
    return Summary(shown, kinds, sum(each.number for each in kinds), mine, list_url("accounts.workitem"))


def visible_kinds(user: Any) -> dict[str, Source]:
    """Return the sources whose objects `user` may view."""
    return {kind: source for kind, source in SOURCES.items() if user.has_perm(source.permission)}


def visible_items(user: Any) -> Any:
    """Return the items that `user` may see."""
    return WorkItem.objects.filter(kind__in=visible_kinds(user))


def open_counts(user: Any) -> list[KindCount]:
    """Return the number of open items of each kind that has any, in the order of the sources."""
    open_items: QuerySet[WorkItem] = visible_items(user).open(at=now()).order_by()
    numbers = dict(open_items.values_list("kind").annotate(Count("id")))
    return [
        KindCount(kind, source.title, numbers[kind], list_url("accounts.workitem", kind=kind))
        for kind, source in SOURCES.items()
        if kind in numbers
    ]
