"""manage.py move_plan_version: subscribers of an older version of a plan, moved to a newer one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from billing.management import find
from billing.services import moves
from contextmcp.common.money import format_amount


class Command(BaseCommand):
    help = "Move subscribers of a plan to another version of it. Shows who changes and what; --dry-run does no more."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("plan")
        parser.add_argument("--to", type=int, dest="version", help="The version to move to; by default the newest.")
        parser.add_argument("--organization", help="The id or slug of one organization; by default all.")
        parser.add_argument("--dry-run", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = [find.organization(options["organization"])] if options["organization"] else None
        found = moves.preview(options["plan"], to_version=options["version"], organizations=chosen)
        for move in found:
            before, after = move.amounts
            old = "?" if before is None else format_amount(before, move.state.currency)
            change = "; ".join(move.differences) or "no limit changes"
            note = f" (stays: {move.refused})" if move.refused else ""
            self.stdout.write(
                f"{move.organization.name}: {move.state.plan_version} -> {move.price.plan_version}, "
                f"{old} -> {format_amount(after, move.price.currency)} a {move.state.interval}; {change}{note}"
            )
        if options["dry_run"]:
            self.stdout.write(f"{len(found)} would be looked at; nothing was changed (--dry-run).")
            return
        self.stdout.write(f"Moved {moves.make(found)} of {len(found)}.")
