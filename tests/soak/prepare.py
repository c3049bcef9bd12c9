"""What must be there before a run is imported: Postgres, Valkey, and Django with settings that name them."""

from __future__ import annotations

import django


def begin() -> None:
    """Start the servers that the tests use, unless the environment names others. They end with this process."""
    from tests import world

    assert world.SETTINGS
    django.setup()
