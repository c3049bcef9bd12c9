"""manage.py reconcile: everything compared with Stripe, what drifted reported by kind and put right."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.errors import BillingNotConfigured, StripeUnavailable
from billing.management import find
from billing.services import reconcile


class Command(BaseCommand):
    help = "Compare every customer with Stripe, page missed events in, report drift by kind and repair it. Safe while live."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", help="The id or slug of one organization; by default everybody.")
        parser.add_argument("--dry-run", action="store_true", help="Report, and change nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = find.organization(options["organization"]) if options["organization"] else None
        try:
            row = reconcile.run(chosen, dry_run=options["dry_run"])
        except (StripeUnavailable, BillingNotConfigured) as error:
            raise CommandError(error.text) from error
        for drift in row.drifts.order_by("id"):
            state = "repaired" if drift.repaired else "found"
            self.stdout.write(f"{drift.kind} {drift.subject}: {state} (Stripe {drift.expected}, here {drift.found})")
        self.stdout.write(f"{row.customers_compared} customers compared, {row.events_found} missed events found.")
        for kind, number in sorted(reconcile.summary(row).items()):
            self.stdout.write(f"  {kind}: {number}")
        if not row.drifts.exists():
            self.stdout.write("No drift.")
