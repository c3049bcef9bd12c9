"""Prepare what the import of a run needs: Postgres, Valkey, and Django with settings that name them."""

from __future__ import annotations

import django


def begin() -> None:
    """Start the test servers unless the environment names others. They stop when this process ends."""
    from tests import plugin_services

    plugin_services.start()
    django.setup()
