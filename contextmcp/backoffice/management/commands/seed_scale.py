"""manage.py seed_scale: fill an empty database with generated data of a large deployment."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from contextmcp.backoffice.scale.run import SeedRefused, analyze, seed


class Command(BaseCommand):
    help = (
        "Fill an empty database of a test deployment with 100,000 organizations, a million API keys, 300,000 invoices, a million audit "
        "events and ten million usage events, times --scale. Refuses in production."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--scale", type=float, default=1.0, help="Multiplies the numbers of rows: 0.1 is a tenth.")
        parser.add_argument("--seed", type=int, default=1, help="A different number generates different values.")

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()

        def say(line: str) -> None:
            self.stdout.write(f"{time.monotonic() - started:6.1f} s {line}")

        try:
            seed(options["scale"], options["seed"], say)
        except SeedRefused as refusal:
            raise CommandError(refusal.text) from refusal
        say("  committed")
        analyze()
        say("  statistics")
