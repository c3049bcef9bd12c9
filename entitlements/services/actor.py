"""Who made a change."""

from accounts.models import User
from accounts.types import Caller

# None is the system itself.
Actor = Caller | User | None


def person(actor: Actor) -> User | None:
    """The user behind it, if any."""
    return actor.user if isinstance(actor, Caller) else actor
