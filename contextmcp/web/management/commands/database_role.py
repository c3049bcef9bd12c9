"""manage.py database_role: print or apply the SQL that grants the application's database role its minimal privileges."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection, transaction
from psycopg import sql

from usage.store import partitions

# Only the delivery state of a meter report may change; its amount and period are immutable.
REPORT_COLUMNS = ("state", "attempts", "first_sent_at", "sent_at", "error")
# Rows are added, never changed.
APPEND_ONLY = ("accounts_auditevent", partitions.PARENT)
MIGRATIONS = "django_migrations"


def statements(role: str) -> list[str]:
    """Return the SQL statements for the existing `role`. They are idempotent; run them again after new tables are created."""
    tables = (*APPEND_ONLY, *partitions.existing())
    templates = [
        "GRANT USAGE ON SCHEMA public TO {role}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {role}",
        *(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {{role}}" for table in tables),
        "REVOKE UPDATE, DELETE, TRUNCATE ON billing_meterreport FROM {role}",
        f"GRANT UPDATE ({', '.join(REPORT_COLUMNS)}) ON billing_meterreport TO {{role}}",
        f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {MIGRATIONS} FROM {{role}}",
    ]
    return [sql.SQL(each).format(role=sql.Identifier(role)).as_string(None) for each in templates]


class Command(BaseCommand):
    help = "Print the SQL that gives a database role the privileges of web, gate and worker; --apply runs it, as the owner of the tables."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("role", help="The role in the DATABASE_URL of web, gate and worker. It must exist.")
        parser.add_argument("--apply", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        grants = statements(options["role"])
        for statement in grants:
            self.stdout.write(f"{statement};")
        if options["apply"]:
            with transaction.atomic(), connection.cursor() as cursor:
                for statement in grants:
                    cursor.execute(statement)
