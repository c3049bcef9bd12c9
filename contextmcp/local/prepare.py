"""Fill a local database, in one process because starting Django costs a second: migrate, a superuser, the catalogue."""

from __future__ import annotations

import os
import sys

import django
from django.contrib.auth import get_user_model
from django.core.management import call_command, get_commands

# Run in this order, each if the product has it; each may be repeated.
COMMANDS = ("publish_catalog",)


def main() -> None:
    django.setup()
    if "--migrated" not in sys.argv:
        call_command("migrate", interactive=False, verbosity=0)
    email, password = os.environ.get("CONTEXTMCP_ADMIN_EMAIL"), os.environ.get("CONTEXTMCP_ADMIN_PASSWORD")
    users = get_user_model()._default_manager
    if email and password and not users.filter(email=email).exists():
        os.environ["DJANGO_SUPERUSER_PASSWORD"] = password
        call_command("createsuperuser", email=email, interactive=False, verbosity=0)
    for name in COMMANDS:
        if name in get_commands():
            call_command(name, verbosity=0)


if __name__ == "__main__":
    main()
