"""Publishing, for billing's command."""

from .services.publish import Change, difference, publish

__all__ = ["Change", "difference", "publish"]
