"""manage.py rebuild_revenue: recalculate the daily revenue and activity figures of past days."""

from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.errors import RevenueRebuildInProgress
from billing.revenue import rebuild


class Command(BaseCommand):
    help = "Recalculate the daily revenue, organization and usage figures (UTC days) from the stored history. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from", dest="first", type=date.fromisoformat, help="First day, as YYYY-MM-DD. Default: 29 days before the last."
        )
        parser.add_argument("--to", dest="last", type=date.fromisoformat, help="Last day. Default: today (UTC).")

    def handle(self, *args: Any, **options: Any) -> None:
        last = options["last"] or rebuild.today()
        first = options["first"] or last - timedelta(days=29)
        if first > last:
            raise CommandError("--from must not be after --to.")
        if last > rebuild.today():
            raise CommandError(f"--to must not be after {rebuild.today()}, the current day (UTC).")
        try:
            start = rebuild.rebuild_days(first, last)
        except RevenueRebuildInProgress as refusal:
            raise CommandError(refusal.text) from refusal
        self.stdout.write(f"Rebuilt the figures from {start} to {last}.")
