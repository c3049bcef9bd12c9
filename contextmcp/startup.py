"""Load the settings of a process, and end the process if they are not valid."""

import gc
import os
import sys
from collections.abc import Collection
from importlib import import_module

from django.core.exceptions import ImproperlyConfigured

# The import reads `.env`, which may name the settings module.
from contextmcp.settings import environment  # noqa: F401

DEFAULT = "contextmcp.settings.production"
# Apps of the gate and the gateway, which do not need pages, admin and Stripe. Without them a process starts in half the time and needs a
# third less memory.
USAGE_APPS = ("django.contrib.auth", "django.contrib.contenttypes", "accounts", "entitlements", "usage")
# sysexits.h: EX_CONFIG.
EXIT_STATUS = 78


def load_settings(process: str) -> None:
    """Load the settings that DJANGO_SETTINGS_MODULE names in the environment or in `.env`. The default are the production settings.

    `process` is the kind of this process, such as "web". pg_stat_activity shows it with its connections, unless DATABASE_URL sets
    `application_name`. If a setting is missing or malformed, the process ends with one sentence on stderr and exit status 78. If the
    catalog is not valid, it ends with one sentence for every fault.
    """
    os.environ.setdefault("PGAPPNAME", f"contextmcp {process}")
    os.environ["DJANGO_SETTINGS_MODULE"] = os.environ.get("DJANGO_SETTINGS_MODULE", "").strip() or DEFAULT
    from django.conf import settings  # noqa: PLC0415 - reads the variable set above

    try:
        settings.INSTALLED_APPS  # noqa: B018 - loads the settings
        import_module("entitlements.catalog")
    except (ImproperlyConfigured, ImportError) as error:
        stop(str(error))


def set_up(process: str, apps: Collection[str] | None = None) -> None:
    """Load the settings as `load_settings` does, and Django's apps: all that the settings name, or those of them in `apps`."""
    # Nearly all objects that exist after this stay, so that collecting garbage meanwhile takes a tenth of the time and frees nothing.
    gc.disable()
    load_settings(process)
    import django  # noqa: PLC0415 - after the settings, whose faults are reported in one sentence
    from django.conf import settings  # noqa: PLC0415

    if apps is not None:
        settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app in apps]
    django.setup()
    gc.freeze()
    gc.enable()


def refuse_transaction_pooling() -> None:
    """End the process with one sentence if Postgres is reached through a pooler in transaction mode. The settings must be loaded."""
    from contextmcp.common.db import check_pooling  # noqa: PLC0415 - reads the settings

    try:
        check_pooling()
    except ImproperlyConfigured as error:
        stop(str(error))


def stop(sentence: str) -> None:
    """End the process with one sentence on stderr and exit status 78."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
    os._exit(EXIT_STATUS) if _inside_server() else sys.exit(EXIT_STATUS)


def _inside_server() -> bool:
    """Return whether granian imported this module. It would print a traceback for `SystemExit`."""
    return "granian" in sys.modules
