"""The newest entries of the timeline, for the overview of a member."""

from collections.abc import Iterable

from accounts.models import ApiKey
from accounts.types import Caller

from .merge import timeline
from .types import Entry, Kind
from .visibility import restrictions, visible_kinds

SHOWN = 5


def recent_entries(caller: Caller, keys: Iterable[ApiKey]) -> list[Entry]:
    """Return the newest entries that the member may see, without emails, which other entries explain.

    `keys` are those that the member sees, so that their names need no query.
    """
    kinds = visible_kinds(caller) - {Kind.EMAIL}
    members = () if caller.user is None else (caller.user.pk,)
    return timeline(
        caller.organization, audience="customer", kinds=kinds, limit=SHOWN, keys=keys, members=members, **restrictions(caller)
    ).entries
