"""manage.py publish_catalog: what is sold, made known here and at Stripe."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.gateway.client import is_configured
from billing.services import publish


class Command(BaseCommand):
    help = "Publish the catalogue: plan versions, and Stripe's products, prices and meters. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Show the difference and change nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        steps = publish.difference()
        for step in steps:
            self.stdout.write(str(step))
        conflicts = [step for step in steps if step.state == "conflict"]
        if conflicts:
            raise CommandError(
                "What was published or bought never changes: raise the version of what is marked with !, or name another price."
            )
        if not is_configured():
            self.stdout.write("STRIPE_SECRET_KEY is not set: nothing is made at Stripe.")
        if options["dry_run"]:
            self.stdout.write("Nothing was changed (--dry-run).")
            return
        publish.publish()
        changed = sum(step.state != "same" for step in steps)
        self.stdout.write(f"Published; {changed} of {len(steps)} things were new or different.")
