"""The gate's statements are planned once. A plan that reads a whole table would be kept while the table grows."""

import pytest
from django.db import connection

from contextmcp.gate.postgres import numbered
from contextmcp.gate.wire import SETTINGS, STATEMENTS


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name.decode() for name in STATEMENTS])
def test_no_statement_reads_a_table_from_end_to_end(name):
    statement = STATEMENTS[name.encode()]
    nothing = ", ".join(["NULL"] * statement.count("%b"))
    with connection.cursor() as cursor:
        # Known to be empty: all plans seem alike now.
        cursor.execute("ANALYZE")
        for setting in SETTINGS:
            cursor.execute(setting.replace("SET ", "SET LOCAL ", 1))
        cursor.execute(f"PREPARE {name} AS {numbered(statement).decode()}")
        cursor.execute(f"EXPLAIN EXECUTE {name}({nothing})")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute(f"DEALLOCATE {name}")
    for never in ("Seq Scan", "Bitmap", "Materialize", "Hash Join", "Merge Join", "Join Filter"):
        assert never not in plan, plan
    # Through all of an index is from end to end, too.
    assert plan.count("Index Scan") + plan.count("Index Only Scan") == plan.count("Index Cond"), plan
