"""manage.py create_service_key: a credential for one of the vendor's own servers, printed this once."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.service_principals import SCOPES
from accounts.services import service_keys
from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError


class Command(BaseCommand):
    help = "Create a service key and print it. It is stored nowhere else: keep it in the secret store of the server that uses it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="What the key is for, such as the server that uses it.")
        parser.add_argument("--scope", action="append", choices=SCOPES, help="Repeat it for several. By default every scope.")
        parser.add_argument("--days", type=int, help="After how many days the key expires. By default never.")

    def handle(self, *args: Any, **options: Any) -> None:
        expires_at = None if options["days"] is None else now() + timedelta(days=options["days"])
        try:
            _, raw = service_keys.create(None, options["name"], options["scope"], expires_at)
        except DomainError as error:
            raise CommandError(error.text) from error
        self.stdout.write(raw)
