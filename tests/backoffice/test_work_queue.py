"""The work queue: what it finds, how items open and close, and what staff do with them."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.urls import reverse
from procrastinate.contrib.django import app

from accounts.manager import AuthManager
from accounts.models import ApiKey, AuditEvent, User, WorkItem
from accounts.types import Caller
from billing.models import Adjustment, BillingNotification, Drift, MeterReport, ReconciliationRun, SubscriptionState, WebhookEvent
from contextmcp.backoffice import work_queue
from contextmcp.backoffice.work_queue import collect, services
from contextmcp.backoffice.work_queue.sources import SOURCES
from contextmcp.backoffice.work_queue.sources.base import RowSource
from contextmcp.common.clock import now
from contextmcp.common.models import IncidentCount, OutgoingEmail
from contextmcp.common.tasks import retry_emails
from entitlements.manager import EntitlementsManager
from entitlements.models import Grant
from tests.factories.accounts import UserFactory
from usage.models import UsageAlert, UsageGauge, WebhookEndpoint

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def dead_event(acme):
    return WebhookEvent.objects.create(event_id="evt_1", type="invoice.paid", payload={}, state="dead", subject="cus_1", error="Boom\nat 1")


def drift(acme):
    run = ReconciliationRun.objects.create()
    return Drift.objects.create(run=run, organization=acme, kind="grant", subject="sub_1", expected="pro", repaired=False)


def repaired_drift(acme):
    run = ReconciliationRun.objects.create()
    Drift.objects.create(run=run, organization=acme, kind="grant", subject="sub_1", expected="pro", repaired=True)
    return run


def dispute(acme, status="needs_response"):
    return Adjustment.objects.create(
        organization=acme,
        kind="dispute",
        stripe_id="dp_1",
        status=status,
        reason="fraudulent",
        amount=900,
        currency="usd",
        created_at=now(),
    )


def unknown_price(acme):
    present = {"started_at": now(), "anchor": now()}
    return SubscriptionState.objects.create(
        organization=acme, stripe_subscription_id="sub_1", status="active", stripe_price_id="price_x", **present
    )


def dead_meter_report(acme):
    return MeterReport.objects.create(
        organization=acme,
        feature="sessions",
        stripe_customer_id="cus_1",
        period_start=now(),
        sequence=1,
        units=1200,
        identifier="m1",
        timestamp=now(),
        state="dead",
        error="Too old",
    )


def failed_email(acme):
    return OutgoingEmail.objects.create(
        category="invitation", recipients=["a@b.example"], from_email="x@y.example", subject="x", state="failed", expires_at=now()
    )


def failed_billing_email(acme):
    return BillingNotification.objects.create(
        organization=acme, kind="receipt", object_id="in_1", transition="paid", attempts=10, due_at=now() - DAY
    )


def failing_endpoint(acme):
    return WebhookEndpoint.objects.create(
        organization=acme, url="https://hooks.example/x", event_types=[], secret=b"x", failing_since=now() - DAY
    )


def failed_job(acme):
    job = retry_emails.configure(queueing_lock=None, lock=None).defer(timestamp=0)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'failed', attempts = 8, args = %s WHERE id = %s", [ARGUMENTS % acme.pk, job])
    return job


ARGUMENTS = '{"organization_id": "%s"}'


def key_guessing(acme):
    IncidentCount.objects.create(kind="unknown_key", subject="192.0.2.1", minute=now(), count=60)
    return IncidentCount.objects.create(kind="unknown_key", subject="192.0.2.1", minute=now() - timedelta(minutes=5), count=60)


def leaked_key(acme):
    owner = acme.memberships.get()
    key, _ = AuthManager(acme).generate_key(Caller.member(owner), "CI", ["usage:read"], None)
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=now())
    IncidentCount.objects.create(kind="revoked_key", subject=str(key.pk), minute=now(), count=9)
    return key


def usage_spike(acme):
    period = {"period_start": now() - DAY, "period_end": now() + DAY, "occurred_at": now()}
    return UsageAlert.objects.create(organization=acme, feature="sessions", kind="spike", used=900, baseline=12.0, **period)


def expiring_gift(acme):
    return EntitlementsManager(acme).grant("pro", reason="Sorry", ends_at=now() + 3 * DAY)


def over_limit(acme):
    UsageGauge.objects.create(organization=acme, feature="projects", value=500)
    period = {"starts_at": now() - 3 * DAY, "ends_at": now() - DAY, "anchor": now() - 3 * DAY}
    return Grant.objects.create(
        organization=acme, plan_version=EntitlementsManager.version("enterprise"), source="gift", reason="A test", **period
    )


PROBLEMS = {
    "dead_event": dead_event,
    "drift": drift,
    "repaired_drift": repaired_drift,
    "dispute": dispute,
    "unknown_price": unknown_price,
    "dead_meter_report": dead_meter_report,
    "failed_email": failed_email,
    "failed_billing_email": failed_billing_email,
    "failing_endpoint": failing_endpoint,
    "failed_job": failed_job,
    "key_guessing": key_guessing,
    "leaked_key": leaked_key,
    "usage_spike": usage_spike,
    "expiring_gift": expiring_gift,
    "over_limit": over_limit,
}
WITHOUT_ORGANIZATION = {"dead_event", "repaired_drift", "failed_email", "key_guessing"}


@pytest.fixture
def superuser(db):
    return User.objects.create_superuser("boss@staff.example", "x", name="Bea Boss")


def helper(role, **fields):
    user = UserFactory(email=f"{role}@staff.example", is_staff=True, **fields)
    user.groups.add(Group.objects.get(name=role))
    return user


@pytest.mark.parametrize("kind", SOURCES)
def test_each_problem_becomes_an_item_with_its_links(kind, acme, client, superuser):
    PROBLEMS[kind](acme)
    collect.collect()
    collect.collect()
    item = WorkItem.objects.get(kind=kind)
    assert item.title
    assert (item.organization == acme) == (kind not in WITHOUT_ORGANIZATION), item.organization
    client.force_login(superuser)
    assert client.get(SOURCES[kind].url(item.object_id)).status_code == 200
    page = client.get(reverse("admin:accounts_workitem_change", args=[item.pk]))
    assert SOURCES[kind].url(item.object_id).replace("&", "&amp;") in page.text
    assert item.title in page.text.replace("&#x27;", "'")
    # Browsers drop a form within a form.
    buttons, form = page.text.index('name="action" value="take"'), page.text.index('id="workitem_form"')
    assert "</form>" in page.text[buttons:form]
    listed = client.get(reverse("admin:accounts_workitem_changelist")).text
    assert SOURCES[kind].url(item.object_id).replace("&", "&amp;") in listed


def test_texts_of_items_say_what_happened(acme):
    for make in (dead_event, dispute, usage_spike, dead_meter_report):
        make(acme)
    collect.collect()
    assert set(WorkItem.objects.values_list("title", "detail")) >= {
        ("invoice.paid failed after 0 attempts", "Boom"),
        ("Dispute of $9.00: needs response", "Reason: fraudulent. Respond at Stripe before the deadline."),
        ("900 sessions in one hour", "The average of the previous hours is 12."),
    }


@pytest.mark.parametrize("kind", [kind for kind, source in SOURCES.items() if isinstance(source, RowSource)])
def test_an_index_serves_each_source(kind, acme):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = SOURCES[kind].rows(now())[:500].explain()
    assert "Seq Scan" not in plan.replace("Seq Scan on procrastinate_jobs", ""), plan


def test_an_item_is_closed_when_its_problem_has_ended(acme):
    event = dead_event(acme)
    collect.collect()
    WebhookEvent.objects.filter(pk=event.pk).update(state="processed")
    collect.collect()
    item = WorkItem.objects.get()
    assert (bool(item.closed_at), item.closed_by, item.note) == (True, None, "The problem ended.")
    WebhookEvent.objects.filter(pk=event.pk).update(state="dead")
    collect.collect()
    assert WorkItem.objects.get().closed_at is None


def test_events_of_the_past_are_closed_by_people_only(acme, superuser):
    alert = usage_spike(acme)
    collect.collect()
    UsageAlert.objects.filter(pk=alert.pk).update(created_at=now() - 30 * DAY)
    collect.collect()
    assert WorkItem.objects.get().closed_at is None


def test_an_item_that_staff_closed_opens_when_it_happens_again(acme, superuser):
    row = dispute(acme)
    collect.collect()
    services.close(WorkItem.objects.get(), superuser, "Evidence sent.")
    collect.collect()
    assert WorkItem.objects.get().closed_at
    Adjustment.objects.filter(pk=row.pk).update(status="under_review")
    collect.collect()
    item = WorkItem.objects.get()
    assert (item.closed_at, item.closed_by, item.note, item.title) == (None, None, "", "Dispute of $9.00: under review")


def test_problems_beyond_the_limit_stay_open(acme, monkeypatch):
    dead_event(acme)
    collect.collect()
    monkeypatch.setattr("contextmcp.backoffice.work_queue.sources.base.LIMIT", 0)
    collect.collect()
    assert WorkItem.objects.get().closed_at is None


def test_a_fault_of_one_source_does_not_hide_the_others(acme, monkeypatch):
    from django.db import DatabaseError

    def fail(present):
        raise DatabaseError

    dead_event(acme)
    dispute(acme)
    monkeypatch.setattr(SOURCES["dead_event"], "find", fail)
    collect.collect()
    assert list(WorkItem.objects.values_list("kind", flat=True)) == ["dispute"]


def act(client, item, action, **fields):
    data = {"action": action, "_selected_action": [item.pk], "confirmed": "1", "reason": "Looking into it.", **fields}
    return client.post(reverse("admin:accounts_workitem_changelist"), data, follow=True)


@pytest.fixture
def item(acme):
    dispute(acme)
    collect.collect()
    return WorkItem.objects.get()


def test_staff_assign_snooze_close_and_reopen_items(client, item, acme):
    finance = helper("finance", name="Fay Finance")
    engineer = helper("engineer")
    client.force_login(finance)
    assert "1 item assigned to you." in act(client, item, "take").text
    assert "assigned to engineer@staff.example" in act(client, item, "assign", owner=engineer.pk).text
    assert "snoozed until" in act(client, item, "snooze", days="3").text
    snoozed = WorkItem.objects.get()
    assert (snoozed.owner, snoozed.snoozed_until.date()) == (engineer, (now() + 3 * DAY).date())
    assert "1 item reopened." in act(client, item, "reopen").text
    assert "1 item closed." in act(client, item, "done").text
    closed = WorkItem.objects.get()
    assert (closed.closed_by, closed.note) == (finance, "Looking into it.")
    assert "This item is closed." in act(client, item, "take").text
    events = AuditEvent.objects.filter(action__startswith="work_item.").order_by("pk")
    assert [event.action.partition(".")[2] for event in events] == ["assigned", "assigned", "snoozed", "reopened", "closed"]
    for event in events:
        assert (event.actor_user, event.organization, event.reason) == (finance, acme, "Looking into it.")
        assert event.before is not None and event.after and event.ip_address and event.request_id
    assert events[1].after == {"owner": "engineer@staff.example"}


def test_an_item_is_not_assigned_to_people_without_the_permission(client, item, superuser):
    client.force_login(superuser)
    assert "Select an owner." in act(client, item, "assign", owner=helper("viewer").pk).text
    assert "Choose for how long." in act(client, item, "snooze", days="0.5").text
    assert WorkItem.objects.get().owner is None
    assert not AuditEvent.objects.filter(action__startswith="work_item.").exists()


def test_viewers_see_items_and_cannot_change_them(client, item):
    client.force_login(helper("viewer"))
    assert item.title in client.get(reverse("admin:accounts_workitem_changelist")).text
    act(client, item, "take")
    assert WorkItem.objects.get().owner is None
    assert 'name="action"' not in client.get(reverse("admin:accounts_workitem_change", args=[item.pk])).text


def test_staff_see_the_items_of_objects_that_they_may_view(client, item, acme):
    dead_event(acme)
    collect.collect()
    user = UserFactory(is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=["view_workitem", "view_webhookevent"]))
    client.force_login(user)
    page = client.get(reverse("admin:accounts_workitem_changelist")).text
    assert "invoice.paid" in page
    assert "Dispute" not in page
    assert [each.kind for each in work_queue.summary(user).kinds] == ["dead_event"]
    assert client.get(reverse("admin:accounts_workitem_change", args=[item.pk])).status_code == 302


def test_the_list_shows_open_items_and_filters(client, item, acme, superuser):
    dead_event(acme)
    collect.collect()
    services.snooze(item, now() + DAY, superuser, "Later.")
    client.force_login(superuser)
    address = reverse("admin:accounts_workitem_changelist")

    def shown(query=""):
        return {row.kind for row in client.get(address + query).context["cl"].result_list}

    assert shown() == {"dead_event"}
    assert shown("?state=snoozed") == {"dispute"}
    assert shown("?state=all") == {"dispute", "dead_event"}
    assert shown("?state=all&kind=dispute") == {"dispute"}
    assert shown("?state=mine") == set()
    services.assign(WorkItem.objects.get(kind="dead_event"), superuser, superuser, "Mine.")
    assert shown("?state=mine") == {"dead_event"}
    assert shown("?state=unassigned") == set()
    assert shown("?state=closed") == set()


def test_pages_of_the_queue_take_few_queries(client, acme, superuser, django_assert_max_num_queries):
    for number in range(30):
        WebhookEvent.objects.create(event_id=f"evt_{number}", type="x", payload={}, state="dead", subject=f"cus_{number}")
    with django_assert_max_num_queries(130):
        collect.collect()
    assert WorkItem.objects.count() == 30
    client.force_login(superuser)
    with django_assert_max_num_queries(20):
        assert client.get(reverse("admin:accounts_workitem_changelist")).status_code == 200


def test_the_summary_shows_the_most_urgent_items(item, acme, superuser):
    failing_endpoint(acme)
    collect.collect()
    services.assign(item, superuser, superuser, "Mine.")
    queue = work_queue.summary(superuser)
    assert [each.kind for each in queue.items] == ["dispute", "failing_endpoint"]
    assert ([(each.kind, each.number) for each in queue.kinds], queue.total, queue.mine) == (
        [("dispute", 1), ("failing_endpoint", 1)],
        2,
        1,
    )
    assert work_queue.summary(UserFactory(is_staff=True)) is None


def test_old_closed_items_are_purged(item, superuser):
    services.close(item, superuser, "Done.")
    WorkItem.objects.update(closed_at=now() - 366 * DAY)
    collect.purge()
    assert not WorkItem.objects.exists()


def test_the_task_reads_slow_sources_every_ten_minutes(acme, monkeypatch):
    over_limit(acme)
    collect.collect(7)
    assert not WorkItem.objects.exists()
    collect.collect(10)
    assert WorkItem.objects.get().kind == "over_limit"
    assert "backoffice.collect_work" in app.tasks


def test_unknown_objects_cannot_be_acted_on(client, superuser):
    client.force_login(superuser)
    data = {"action": "take", "_selected_action": [str(uuid4().int % 10**9)], "confirmed": "1", "reason": "x"}
    assert client.post(reverse("admin:accounts_workitem_changelist"), data, follow=True).status_code == 200
