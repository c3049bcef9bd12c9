"""Results of a search, and the description of what can be searched."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db.models import Model

from accounts.models import Organization
from contextmcp.common.admin_links import object_url

from .query import Query

PAGE_SIZE = 20


@dataclass(frozen=True)
class Hit:
    """One row. A secondary hit, such as the user of a found member, is listed but not counted when a single hit is opened directly."""

    title: str
    detail: str
    url: str
    is_secondary: bool = False


@dataclass(frozen=True)
class Resolver:
    """A searchable kind of object. `find` returns the hits from position `start` to `stop`; none if the query cannot identify this kind."""

    name: str
    title: str
    permission: str
    find: Callable[[Query, int, int], Iterable[Hit]]


@dataclass(frozen=True)
class Group:
    """The hits of one kind on one page (counted from 0)."""

    resolver: Resolver
    hits: list[Hit]
    page: int
    has_more: bool


def organization_hit(organization: Organization, detail: str) -> Hit:
    state = "closed, " if organization.closed_at else ""
    return Hit(organization.name, f"{state}{detail}", object_url(organization))


def row_hit(row: Model, title: str, *details: str) -> Hit:
    """Return a hit for a row. Empty details are left out of its description."""
    return Hit(title, ", ".join(each for each in details if each), object_url(row))
