"""What must be right before the start."""

import os
from typing import Any

from django.core.checks import CheckMessage, Error, register

from .spool import keeper


@register()
def spool_can_be_written(**_: Any) -> list[CheckMessage]:
    place = keeper.folder()
    if place is None or (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        return []
    return [Error(f"USAGE_SPOOL_DIR is {place}, which is no folder that can be written to.", id="usage.E001")]
