"""manage.py reconcile: compare all customers with Stripe, report the differences by kind and repair them."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import reconciliation
from billing.errors import BillingNotConfigured, StripeUnavailable
from billing.management import find


class Command(BaseCommand):
    help = "Compare every customer with Stripe, fetch missed events, report differences by kind and repair them. Safe to run in production."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", help="Id or slug of one organization. Default: all organizations.")
        parser.add_argument("--dry-run", action="store_true", help="Print the differences and change nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        selected = find.organization(options["organization"]) if options["organization"] else None
        try:
            row = reconciliation.reconcile(selected, dry_run=options["dry_run"])
        except (StripeUnavailable, BillingNotConfigured) as error:
            raise CommandError(error.text) from error
        for drift in row.drifts.order_by("id"):
            state = "repaired" if drift.repaired else "found"
            self.stdout.write(f"{drift.kind} {drift.subject}: {state} (Stripe {drift.expected}, here {drift.actual})")
        self.stdout.write(f"{row.customers_compared} customers compared, {row.missed_events} missed events found.")
        for kind, number in sorted(reconciliation.drift_counts(row).items()):
            self.stdout.write(f"  {kind}: {number}")
        if not row.drifts.exists():
            self.stdout.write("No differences.")
