"""manage.py migrate_plan_version: migrate the subscribers of a plan to another version of it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from billing.management import find
from billing.subscriptions import plan_migration
from contextmcp.common.money import format_amount


class Command(BaseCommand):
    help = "Migrate subscribers of a plan to another version of it. Prints the affected subscribers and changes; --dry-run changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("plan")
        parser.add_argument("--to", type=int, dest="version", help="The target version. Default: the latest version.")
        parser.add_argument("--organization", help="Id or slug of one organization. Default: all organizations.")
        parser.add_argument("--dry-run", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        selected = [find.organization(options["organization"])] if options["organization"] else None
        migrations = plan_migration.preview_migrations(options["plan"], to_version=options["version"], organizations=selected)
        for move in migrations:
            before, after = move.amounts
            old = "?" if before is None else format_amount(before, move.state.currency)
            change = "; ".join(move.differences) or "no limit changes"
            note = f" (not moved: {move.refused})" if move.refused else ""
            self.stdout.write(
                f"{move.organization.name}: {move.state.plan_version} -> {move.price.plan_version}, "
                f"{old} -> {format_amount(after, move.price.currency)} per {move.state.interval}; {change}{note}"
            )
        if options["dry_run"]:
            self.stdout.write(f"{len(migrations)} subscriptions checked. Nothing was changed (--dry-run).")
            return
        self.stdout.write(f"Moved {plan_migration.migrate(migrations)} of {len(migrations)} subscriptions.")
