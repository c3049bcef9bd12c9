"""The gate's statements are planned once. A plan that scans a whole table would be kept while the table grows."""

import pytest
from django.db import connection

from contextmcp.gate.driver import SESSION_SETTINGS
from contextmcp.gate.pg_pipeline import to_dollar_params
from usage.store.codec import STATEMENTS


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name.decode() for name in STATEMENTS])
def test_no_statement_scans_a_whole_table(name):
    statement = STATEMENTS[name.encode()]
    nothing = ", ".join(["NULL"] * statement.count("%b"))
    with connection.cursor() as cursor:
        # Postgres knows that the tables are empty, so all plans have equal costs now.
        cursor.execute("ANALYZE")
        for setting in SESSION_SETTINGS:
            cursor.execute(setting.replace("SET ", "SET LOCAL ", 1))
        cursor.execute(f"PREPARE {name} AS {to_dollar_params(statement).decode()}")
        cursor.execute(f"EXPLAIN EXECUTE {name}({nothing})")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute(f"DEALLOCATE {name}")
    for never in ("Seq Scan", "Bitmap", "Materialize", "Hash Join", "Merge Join", "Join Filter"):
        assert never not in plan, plan
    # Scanning a whole index reads everything too.
    assert plan.count("Index Scan") + plan.count("Index Only Scan") == plan.count("Index Cond"), plan
