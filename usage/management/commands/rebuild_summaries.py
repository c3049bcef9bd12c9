from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser

from usage.store import rebuild


class Command(BaseCommand):
    help = "Rebuilds the usage summaries from the events. With --check, only counts the summaries that differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", type=UUID, help="UUID of the only organization to process.")
        parser.add_argument("--check", action="store_true", help="Change nothing and exit with 1 if any summary differs.")

    def handle(self, *args: Any, **options: Any) -> None:
        organization = str(options["organization"]) if options["organization"] else None
        mismatched = rebuild.count_mismatched_summaries(organization)
        if options["check"]:
            self.stdout.write(f"{mismatched} summaries differ from the events.")
            if mismatched:
                raise SystemExit(1)
            return
        total = rebuild.rebuild_summaries(organization)
        self.stdout.write(f"Rebuilt {total} summaries; {mismatched} of them differed.")
