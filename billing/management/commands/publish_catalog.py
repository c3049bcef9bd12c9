"""manage.py publish_catalog: publish plan versions to the database, and products, prices and meters to Stripe."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.catalog import publish
from billing.stripe.gateway.client import is_configured


class Command(BaseCommand):
    help = "Publish the catalog: plan versions, and Stripe products, prices and meters. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Print the differences and change nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        steps = publish.plan_publish()
        for step in steps:
            self.stdout.write(str(step))
        conflicts = [step for step in steps if step.state == "conflict"]
        if conflicts:
            reasons = "; ".join(step.detail or step.name for step in conflicts)
            raise CommandError(
                f"{reasons}. Published versions and prices never change: raise the version of plans marked with !, or use another price."
            )
        if not is_configured():
            self.stdout.write("STRIPE_SECRET_KEY is not set: nothing is published to Stripe.")
        if options["dry_run"]:
            self.stdout.write("Nothing was changed (--dry-run).")
            return
        publish.publish_catalog()
        changed = sum(step.state != "same" for step in steps)
        self.stdout.write(f"Published {len(steps)} items, {changed} of them new or changed.")
