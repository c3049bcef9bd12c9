"""The README's coverage table is the generated one."""

from pathlib import Path

from stripe_simulator import coverage

README = Path(__file__).parents[1] / "README.md"


def test_the_table_is_up_to_date():
    text = README.read_text()
    assert text.partition(coverage.BEGIN)[2].partition(coverage.END)[0].strip() == coverage.table()


def test_each_resource_has_operations_and_the_main_ones_events():
    operations, events = coverage.operations(), coverage.events()
    assert len([each for names in operations.values() for each in names]) > 140
    assert events.keys() <= operations.keys()
    assert "invoice.payment_failed" in events["invoices"]
