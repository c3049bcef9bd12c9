"""manage.py data_model: write docs/data-model.md."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from contextmcp.common import data_model


class Command(BaseCommand):
    help = "Write docs/data-model.md from the models. --check compares and changes nothing."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Fail if the document is outdated.")

    def handle(self, *args: Any, **options: Any) -> None:
        path, text = data_model.path(), data_model.document()
        if options["check"]:
            if not path.exists() or path.read_text() != text:
                raise CommandError(f"{data_model.DOCUMENT} is outdated: run `make data-model`.")
            return
        path.write_text(text)
