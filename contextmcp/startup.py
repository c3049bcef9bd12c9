"""Which settings a process starts with, and how it stops when they are wrong."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured

# Importing it reads `.env`, which may name the settings module.
from contextmcp.settings import environment  # noqa: F401

DEFAULT = "contextmcp.settings.production"
# sysexits.h: EX_CONFIG.
EXIT_STATUS = 78


def load_settings() -> None:
    """Load the settings that DJANGO_SETTINGS_MODULE names, in the environment or in `.env`; production's when neither names any.

    Settings that are missing or malformed end the process with one sentence on stderr and exit status 78.
    """
    os.environ["DJANGO_SETTINGS_MODULE"] = os.environ.get("DJANGO_SETTINGS_MODULE", "").strip() or DEFAULT
    from django.conf import settings  # noqa: PLC0415 - reads the variable set above

    try:
        settings.INSTALLED_APPS  # noqa: B018 - loads the settings
    except (ImproperlyConfigured, ImportError) as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(EXIT_STATUS) if _inside_server() else sys.exit(EXIT_STATUS)


def _inside_server() -> bool:
    """Whether granian imports this: it would answer `SystemExit` with a traceback of its own."""
    return "granian" in sys.modules
