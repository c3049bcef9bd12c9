"""Merge the sources by time."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import cmp_to_key
from uuid import UUID

from accounts.models import ApiKey, Organization

from .cursor import AFTER_ALL, Cursor
from .names import Names, References
from .sources import SOURCES, Item, read_streams
from .types import CUSTOMER_KINDS, KINDS, Audience, Entry, Kind, Page, Query

MAX_LIMIT = 200
# How often the sources are read again if they found nothing, but have not read everything yet.
MAX_ROUNDS = 3


def timeline(
    organization: Organization,
    *,
    audience: Audience,
    kinds: frozenset[Kind] = KINDS,
    before: str = "",
    limit: int = 50,
    since: datetime | None = None,
    until: datetime | None = None,
    key: UUID | None = None,
    member: int | None = None,
    code: str = "",
    own: int | None = None,
    email_categories: tuple[str, ...] | None = None,
    opens_billing: bool = True,
    without: frozenset[str] = frozenset(),
    abilities: frozenset[str] = frozenset(),
    keys: Iterable[ApiKey] = (),
    members: Iterable[int] = (),
) -> Page:
    """Return the organization's history, newest first, from the cursor `before` on.

    See `Query` for the filters. For customers, internal entries are left out, whatever `kinds` contains. A page can have fewer entries than
    `limit` although another one follows. `keys`, and `members` by the IDs of their users, are known already and need no query.
    Raises `ValidationFailed` for an invalid cursor.
    """
    kinds = kinds if audience == "staff" else kinds & CUSTOMER_KINDS
    cursor = Cursor.decode(before) if before else None
    query = Query(
        organization=organization,
        audience=audience,
        kinds=kinds,
        cursor=cursor,
        limit=min(limit, MAX_LIMIT),
        since=since,
        until=until,
        key=key,
        member=member,
        code=code,
        own=own,
        email_categories=email_categories,
        opens_billing=opens_billing,
        without=without,
        abilities=abilities,
    )
    shown: list[Item] = []
    for _ in range(MAX_ROUNDS):
        shown, cursor = _read(query)
        if shown or cursor is None:
            break
        query = replace(query, cursor=cursor)
    references = References(known_keys={key.pk: key for key in keys}, members=frozenset(members))
    return Page(_describe(shown, query, references), cursor.encode() if cursor else "")


def _read(query: Query) -> tuple[list[Item], Cursor | None]:
    """Return the items of a page, and the position of the next page or None."""
    sources = [each for each in SOURCES if each.kinds & query.kinds and (query.for_staff or not each.staff_only)]
    found = read_streams(query, sources)
    reached = None
    for source in sources:
        batch = source.read(query)
        found += batch.items
        reached = max(filter(None, [reached, batch.reached]), default=None)
    # Before the time that a source has reached, its items are missing.
    known = sorted((item for item in found if reached is None or item.at >= reached), key=cmp_to_key(_order))
    if len(known) > query.limit:
        shown = known[: query.limit]
        return shown, shown[-1].cursor
    return known, Cursor(reached, AFTER_ALL, "") if reached else None


def _order(first: Item, second: Item) -> int:
    if first.at != second.at:
        return -1 if first.at > second.at else 1
    if first.stream != second.stream:
        return first.stream - second.stream
    return -1 if first.key > second.key else 1


def _describe(items: list[Item], query: Query, references: References) -> list[Entry]:
    for item in items:
        item.source.refer(item.row, references)
    names = Names(query, references)
    return [item.source.describe(item, query, names) for item in items]
