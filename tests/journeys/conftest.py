"""Worlds, for journeys through them."""

from tests.support.worlds import world

__all__ = ["world"]
