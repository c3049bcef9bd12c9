"""Moving many subscribers to another plan version in the background: progress, crashes, stopping, and failures."""

import pytest

from accounts.models import AuditEvent
from billing.errors import MigrationFinished, StripeRejected
from billing.models import PlanMigration, PlanMigrationItem, ReconciliationRun, SubscriptionState
from billing.subscriptions import bulk_migration, plan_migration
from contextmcp.common.ids import uuid7
from entitlements.models import PlanVersion
from tests.billing.test_plan_migration import limit, version_two
from tests.support.staff_actions import Staff, errors, message, rows
from tests.support.stripe import jobs, run, work

__all__ = ["version_two"]
pytestmark = pytest.mark.django_db
START = "/admin/actions/move-plan-version/"


@pytest.fixture
def engineer(db):
    return Staff.make("billing.add_planmigration", "billing.add_reconciliationrun", "billing.view_planmigration")


def version(number):
    return PlanVersion.objects.get(plan="pro", version=number)


def more_subscribers(payer, count):
    names = ("plan_version", "interval", "status", "unit_amount", "currency", "anchor", "started_at")
    fields = {name: getattr(payer.state, name) for name in names}
    rows = [
        SubscriptionState(organization=payer.organization, stripe_subscription_id=f"sub_{number}", stripe_customer_id="cus_x", **fields)
        for number in range(count)
    ]
    SubscriptionState.objects.bulk_create(rows)


def start(engineer, number=2):
    return bulk_migration.start(uuid7(), version(number), None, engineer.user, "New terms")


def test_a_move_is_previewed_confirmed_and_executed(payer, acme, version_two, engineer, django_assert_max_num_queries):
    payer.buy()
    version_two()
    chosen = {"to_version": str(version(2).pk), "reason": "Ticket 7"}
    with django_assert_max_num_queries(30):
        page = engineer.client.post(START, chosen)
    assert rows(page)["1 subscriber, per month"] == ("pro v1, $9.00", "pro v2, $12.00")
    assert rows(page)["pro v1: projects"] == ("10", "20")
    form = {**chosen, "confirmed": "1", "submission": str(page.context["submission"]), "previewed": page.context["preview"].fingerprint}
    for _ in range(2):
        answer = engineer.client.post(START, form)
        assert (answer.status_code, message(answer)) == (302, "The move to pro v2 was queued. Its page shows the progress.")
    assert limit(acme) == 10
    assert work() == 2
    migration = PlanMigration.objects.get()
    assert (migration.state, migration.total, migration.moved, migration.failed) == ("finished", 1, 1, 0)
    assert limit(acme) == 20
    assert [event.action for event in engineer.events()] == ["plan_migration.started", "billing.move_version"]
    assert AuditEvent.objects.get(action="plan_migration.started").before["subscribers"] == 1
    assert "No subscribers are on another version" in errors(engineer.client.post(START, chosen))[1]
    page = engineer.client.get(f"/admin/billing/planmigration/{migration.pk}/change/")
    assert "1 of 1 (100%)" in page.text


def test_thousands_of_subscribers_are_queued_in_chunks(payer, version_two, engineer, django_assert_max_num_queries):
    payer.buy()
    version_two()
    more_subscribers(payer, 1200)
    with django_assert_max_num_queries(12):
        migration = start(engineer)
    [(_, name, arguments)] = jobs("billing.run_plan_migration")
    with django_assert_max_num_queries(60):
        run(name, **arguments)
    assert len(jobs("billing.migrate_plan_item")) == 1201
    run(name, **arguments)
    assert len(jobs("billing.migrate_plan_item")) == 1201
    migration.refresh_from_db()
    assert (migration.total, migration.state) == (1201, "running")


def test_a_result_counts_once_however_often_its_job_runs(payer, acme, version_two, engineer):
    payer.buy()
    version_two()
    migration = start(engineer)
    bulk_migration.run(migration.pk)
    item = PlanMigrationItem.objects.get()
    for _ in range(2):
        bulk_migration.migrate_item(item.pk, lambda error: True)
    migration.refresh_from_db()
    assert (migration.moved, migration.state) == (1, "finished")


def test_a_job_that_was_killed_after_stripe_answered_counts_as_moved(payer, acme, version_two, engineer):
    payer.buy()
    version_two()
    migration = start(engineer)
    bulk_migration.run(migration.pk)
    assert plan_migration.migrate_subscription(payer.state.stripe_subscription_id, 2) == ""
    bulk_migration.migrate_item(PlanMigrationItem.objects.get().pk, lambda error: True)
    migration.refresh_from_db()
    assert (migration.moved, migration.skipped) == (1, 0)


def test_errors_are_repeated_and_then_recorded(payer, acme, version_two, engineer, monkeypatch):
    payer.buy()
    version_two()
    migration = start(engineer)
    bulk_migration.run(migration.pk)
    item = PlanMigrationItem.objects.get()

    def refused(*arguments):
        raise StripeRejected("The card is on fire.")

    monkeypatch.setattr(plan_migration, "migrate_subscription", refused)
    with pytest.raises(StripeRejected):
        bulk_migration.migrate_item(item.pk, lambda error: False)
    bulk_migration.migrate_item(item.pk, lambda error: True)
    migration.refresh_from_db()
    assert (migration.failed, migration.state) == (1, "finished")
    assert "The card is on fire." in PlanMigrationItem.objects.get().note
    monkeypatch.undo()
    bulk_migration.resume(migration, engineer.user, "Fixed")
    work()
    migration.refresh_from_db()
    assert (migration.failed, migration.moved, migration.state) == (0, 1, "finished")
    with pytest.raises(MigrationFinished):
        bulk_migration.resume(migration, engineer.user, "Again")


def test_subscribers_that_cannot_be_moved_are_skipped_with_the_reason(payer, acme, version_two, engineer):
    payer.buy()
    version_two()
    SubscriptionState.objects.update(status="past_due")
    page = engineer.client.post(START, {"to_version": str(version(2).pk), "reason": "x"})
    assert "1 more cannot be moved now" in page.context["preview"].warnings[0]
    migration = start(engineer)
    bulk_migration.run(migration.pk)
    bulk_migration.migrate_item(PlanMigrationItem.objects.get().pk, lambda error: True)
    migration.refresh_from_db()
    assert (migration.skipped, PlanMigrationItem.objects.get().note) == (1, "its subscription is past_due")


def test_a_stopped_move_does_nothing_until_it_is_continued(payer, acme, version_two, engineer):
    payer.buy()
    version_two()
    migration = start(engineer)
    bulk_migration.stop(migration, engineer.user, "Wrong price")
    work()
    assert limit(acme) == 10
    migration.refresh_from_db()
    assert migration.state == "stopped"
    bulk_migration.resume(migration, engineer.user, "Right price")
    work()
    migration.refresh_from_db()
    assert (migration.state, limit(acme)) == ("finished", 20)
    events = AuditEvent.objects.filter(action__startswith="plan_migration.").order_by("pk")
    assert [(event.action, event.reason) for event in events] == [
        ("plan_migration.started", "New terms"),
        ("plan_migration.stopped", "Wrong price"),
        ("plan_migration.resumed", "Right price"),
    ]


def test_the_pages_of_system_actions_require_their_permission(staff_with, engineer):
    other = staff_with("billing.operate_billing")
    for url in (START, "/admin/actions/reconcile-all/"):
        assert other.client.get(url).status_code == 403
        assert other.client.post(url, {"confirmed": "1", "reason": "x"}).status_code == 403
        assert engineer.client.get(url).status_code == 200
    assert engineer.client.get("/admin/actions/unknown/").status_code == 404


def test_one_subscriber_is_moved_from_the_page_of_the_organization(payer, acme, version_two, engineer):
    payer.buy()
    assert "newest version" in errors(engineer.preview(acme, "move-version"))[1]
    version_two()
    page = engineer.preview(acme, "move-version")
    assert rows(page)["Plan version"] == ("pro v1", "pro v2")
    assert engineer.act(acme, "move-version") == "The subscription was moved to pro v2."
    assert limit(acme) == 20
    assert engineer.only_event("billing.move_version").before["plan"] == "pro v1"


@pytest.mark.parametrize("dry_run", [True, False])
def test_all_organizations_are_reconciled_in_the_background(payer, acme, engineer, dry_run):
    payer.buy()
    SubscriptionState.objects.update(status="canceled")
    url = "/admin/actions/reconcile-all/"
    chosen = {"reason": "Ticket 7"} | ({"dry_run": "on"} if dry_run else {})
    page = engineer.client.post(url, chosen)
    assert rows(page)["Differences"][1].startswith("recorded")
    form = {**chosen, "confirmed": "1", "submission": str(page.context["submission"]), "previewed": page.context["preview"].fingerprint}
    assert engineer.client.post(url, form).status_code == 302
    row = ReconciliationRun.objects.get()
    assert (row.finished_at, row.dry_run, row.created_by) == (None, dry_run, engineer.user)
    work()
    row.refresh_from_db()
    assert row.finished_at and row.drifts.filter(kind="subscriptionstate_status").exists()
    assert payer.state.status == ("canceled" if dry_run else "active")
    engineer.only_event("billing.reconciliation_started")
