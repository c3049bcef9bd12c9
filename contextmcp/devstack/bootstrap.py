"""Prepare a local database: migrate, create a superuser, publish the catalog.

`--then-work` continues as the worker, which saves a second start of Django.
"""

from __future__ import annotations

import os
import sys

import django
from django.contrib.auth import get_user_model
from django.core.management import call_command, execute_from_command_line, get_commands

from contextmcp.devstack.runner import PREPARED, WORK

# These commands run in this order if the product has them. Each may be repeated.
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
    print(PREPARED, flush=True)
    if "--then-work" in sys.argv:
        execute_from_command_line(["manage.py", *WORK])


if __name__ == "__main__":
    main()
