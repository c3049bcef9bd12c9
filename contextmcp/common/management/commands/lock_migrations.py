"""manage.py lock_migrations: list migrations as released, so that no later change goes unnoticed."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from contextmcp.common import migration_manifest as manifest


class Command(BaseCommand):
    help = "Add new migrations to the manifest of released ones. --check compares and changes nothing. Refuses if a released one changed."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Fail if a released migration changed or vanished, or one is not listed.")

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(settings.BASE_DIR) / manifest.MANIFEST
        released, migrations = manifest.read(path), manifest.present()
        if released is None and options["check"]:
            self.stdout.write(f"There is no {manifest.MANIFEST}: nothing was released, and migrations may still change.")
            return
        problems = manifest.problems(released or {}, migrations)
        new = manifest.unlisted(released or {}, migrations)
        if options["check"] and new:
            problems += [f"{name} is not in {manifest.MANIFEST}. Add it: make lock-migrations." for name in new]
        if problems:
            raise CommandError("\n".join(problems))
        if options["check"]:
            self.stdout.write(f"{len(migrations)} migrations are as they were released.")
            return
        manifest.write(path, migrations)
        self.stdout.write(f"{manifest.MANIFEST}: {len(new)} added, {len(migrations)} in all.")
