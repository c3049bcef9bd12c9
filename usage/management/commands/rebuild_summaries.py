from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser

from usage import rebuild


class Command(BaseCommand):
    help = "Makes the usage summaries anew from the events; --check only counts those that differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", type=UUID, help="Only this one.")
        parser.add_argument("--check", action="store_true", help="Change nothing; fail if any differ.")

    def handle(self, *args: Any, **options: Any) -> None:
        organization = str(options["organization"]) if options["organization"] else None
        wrong = rebuild.differences(organization)
        if options["check"]:
            self.stdout.write(f"{wrong} summaries differ from the events.")
            if wrong:
                raise SystemExit(1)
            return
        made = rebuild.rebuild_summaries(organization)
        self.stdout.write(f"{made} summaries made anew; {wrong} had differed.")
