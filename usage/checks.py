"""Django system checks of the usage app."""

import os
from typing import Any

from django.core.checks import CheckMessage, Error, register

from .spool import spool


@register()
def spool_can_be_written(**_: Any) -> list[CheckMessage]:
    """Report an error if USAGE_SPOOL_DIR is set to something other than a writable directory."""
    directory = spool.spool_dir()
    if directory is None or (directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)):
        return []
    return [Error(f"USAGE_SPOOL_DIR is {directory}, which is not a writable directory.", id="usage.E001")]
