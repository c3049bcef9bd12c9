"""manage.py create_service_key: create a credential for one of the vendor's own servers and print it once."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.service_principals import SCOPES
from accounts.services import service_keys
from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError


class Command(BaseCommand):
    help = "Create a service key and print it. It cannot be shown again: store it in the secret store of the server that uses it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="What the key is for, such as the server that uses it.")
        parser.add_argument(
            "--scope", action="append", choices=SCOPES, help="A scope of the key. Repeat the option for several. Default: all scopes."
        )
        parser.add_argument("--days", type=int, help="Days until the key expires. By default it does not expire.")

    def handle(self, *args: Any, **options: Any) -> None:
        expires_at = None if options["days"] is None else now() + timedelta(days=options["days"])
        try:
            _, raw = service_keys.create(None, options["name"], options["scope"], expires_at)
        except DomainError as error:
            raise CommandError(error.text) from error
        self.stdout.write(raw)
