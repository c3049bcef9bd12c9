"""The actor of a change."""

from accounts.models import User
from accounts.types import Caller

# None is the system.
Actor = Caller | User | None


def acting_user(actor: Actor) -> User | None:
    """Return the user of an actor, or None."""
    return actor.user if isinstance(actor, Caller) else actor
