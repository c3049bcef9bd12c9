"""The names of the API keys and connected apps to which usage and refusals are attributed."""

from collections.abc import Iterable
from uuid import UUID

from accounts.models import ApiKey, OAuthGrant
from contextmcp.common.admin_links import object_url
from usage.models import NO_KEY

from .display import Cell


def credential_cells(ids: Iterable[UUID | None]) -> dict[UUID | None, Cell]:
    """Return the name of each API key or connected app, with a link to its admin page. Takes two queries at most.

    A connected app is identified by the ID of its grant. None and `NO_KEY` stand for requests without a key.
    """
    requested = set(ids)
    found = {each for each in requested if each is not None and each != NO_KEY}
    keys = ApiKey.objects.in_bulk(found)
    apps = OAuthGrant.objects.in_bulk(found - keys.keys())
    cells: dict[UUID | None, Cell] = {each: Cell("Without a key") for each in requested - found}
    cells |= {each: Cell(f"Deleted app {each}") for each in found}
    cells |= {key: Cell(str(row), object_url(row)) for key, row in keys.items()}
    return cells | {key: Cell(f"App: {row}", object_url(row)) for key, row in apps.items()}
