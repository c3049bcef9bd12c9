"""Usage alerts: thresholds of 50, 80 and 100 %, and spikes, each sent once per period."""

import json
import re
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone

from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from tests.factories.accounts import MembershipFactory
from tests.factories.usage import UsageCounterFactory, UsageGaugeFactory, subscribe
from tests.support.stripe import jobs, run
from usage import tasks
from usage.alerts import queries, selectors
from usage.alerts.evaluate import evaluate_alerts
from usage.models import NO_PERIOD, AlertCheckpoint, OverageSetting, UsageAlert, UsageCounter, UsageSummary, WebhookDelivery
from usage.tracker import UsageTracker
from usage.webhooks.manager import WebhookManager

pytestmark = pytest.mark.django_db
K = UsageAlert.Kind


def kinds(**expected):
    return list(UsageAlert.objects.filter(**expected).order_by("created_at").values_list("kind", flat=True))


def use(organization, amount):
    UsageTracker(organization).consume("sessions", amount)
    return evaluate_alerts()


def letters():
    """Send the queued emails."""
    for number, name, args in jobs("usage.send_alert_email"):
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM procrastinate_jobs WHERE id = %s", [number])
        run(name, **args)
    matches, mail.outbox[:] = list(mail.outbox), []
    return matches


def test_each_threshold_sends_one_alert(acme):
    assert use(acme, 24) == 0
    assert use(acme, 1) == 1
    assert use(acme, 1) == 0
    assert use(acme, 14) == 1
    assert use(acme, 10) == 1
    assert kinds() == [K.THRESHOLD_50, K.THRESHOLD_80, K.THRESHOLD_100]
    assert evaluate_alerts() == 0
    alert = UsageAlert.objects.get(kind=K.THRESHOLD_100)
    period = EntitlementsManager(acme).require("sessions").period(now(acme))
    assert (alert.used, alert.included, alert.period_start, alert.period_end) == (50, 50, period.start, period.end)


def test_passing_several_thresholds_reports_only_the_highest(acme):
    use(acme, 50)
    assert kinds() == [K.THRESHOLD_100]
    EntitlementsManager(acme).override("sessions", 90, reason="A promise")
    assert use(acme, 1) == 0
    assert kinds() == [K.THRESHOLD_100]


def test_new_period_starts_at_zero(acme):
    use(acme, 50)
    acme.clock_offset = timedelta(days=32)
    acme.save()
    assert use(acme, 50) == 1
    assert kinds() == [K.THRESHOLD_100, K.THRESHOLD_100]


def test_evaluating_again_after_a_crash_repeats_no_alert(acme, owner):
    use(acme, 25)
    AlertCheckpoint.objects.all().delete()
    assert evaluate_alerts() == 0
    assert len(letters()) == 1


def test_unlimited_or_lapsed_features_send_no_alert(acme):
    UsageTracker(acme).consume("sessions", 50)
    subscribe(acme, "enterprise")
    UsageTracker(acme).consume("sessions", 5000)
    assert evaluate_alerts() == 0


def test_alert_missed_shortly_before_the_period_end_is_still_sent(acme):
    UsageCounterFactory(organization=acme, used=40)
    end = UsageCounter.objects.get().period_end
    acme.clock_offset = end + timedelta(hours=23) - timezone.now()
    acme.save()
    assert evaluate_alerts() == 1
    UsageAlert.objects.all().delete()
    AlertCheckpoint.objects.all().delete()
    acme.clock_offset += timedelta(hours=2)
    acme.save()
    assert evaluate_alerts() == 0


def test_a_closed_organization_gets_no_alerts(acme):
    UsageTracker(acme).consume("sessions", 50)
    type(acme).objects.update(closed_at=timezone.now())
    assert evaluate_alerts() == 0


def test_gauges_alert_once_per_period_regardless_of_changes(acme):
    for value, result in ((4, 0), (5, 1), (3, 0), (6, 0), (8, 1), (10, 1), (2, 0), (10, 0)):
        UsageTracker(acme).set_gauge("best_practices", value)
        assert evaluate_alerts() == result, value
    assert kinds(feature="best_practices") == [K.THRESHOLD_50, K.THRESHOLD_80, K.THRESHOLD_100]
    acme.clock_offset = timedelta(days=32)
    acme.save()
    assert evaluate_alerts() == 0
    UsageTracker(acme).set_gauge("best_practices", 9)
    assert evaluate_alerts() == 1


def test_plan_with_one_project_sends_no_alert_when_it_has_one(acme, owner):
    UsageGaugeFactory(organization=acme, feature="projects", value=1)
    assert evaluate_alerts() == 0


def test_members_are_evaluated_as_a_gauge(acme, owner, admin, member, viewer):
    subscribe(acme)
    evaluate_alerts()
    MembershipFactory(organization=acme)
    assert evaluate_alerts() == 1
    assert kinds(feature="team_members") == [K.THRESHOLD_50]


def past(organization, hours, amount=10, feature="sessions", before=1):
    start = now(organization).replace(minute=0, second=0, microsecond=0)
    UsageSummary.objects.bulk_create(
        UsageSummary(
            organization=organization, grain="h", bucket=start - timedelta(hours=before + number), feature=feature, amount=amount, events=1
        )
        for number in range(hours)
    )


@pytest.fixture
def big(acme):
    subscribe(acme, "enterprise")
    return acme


def test_hour_far_above_the_baseline_sends_one_alert(big):
    past(big, 24)
    assert use(big, 40) == 0
    assert use(big, 1) == 1
    alert = UsageAlert.objects.get()
    assert (alert.kind, alert.used, alert.baseline, alert.included) == (K.SPIKE, 41, 10.0, None)
    assert use(big, 100) == 0
    assert [one.pk for one in selectors.active_alerts(big).spikes] == [alert.pk]


def test_a_nightly_peak_is_no_spike(big):
    past(big, 30)
    past(big, 1, amount=500, before=100)
    assert use(big, 400) == 0
    assert use(big, 101) == 1


def test_a_short_history_or_small_amounts_are_no_spike(big):
    past(big, 23)
    assert use(big, 1000) == 0
    UsageSummary.objects.all().delete()
    past(big, 30, amount=1)
    assert use(big, 19) == 0


def test_usage_older_than_two_weeks_is_ignored(big):
    past(big, 40, before=14 * 24 + 1)
    assert use(big, 1000) == 0


def test_the_baseline_is_queried_once_per_hour(big, monkeypatch):
    calls = []
    real = queries.baseline
    monkeypatch.setattr(queries, "baseline", lambda *place: calls.append(place) or real(*place))
    past(big, 30)
    for _ in range(4):
        use(big, 20)
    assert len(calls) == 1
    AlertCheckpoint.objects.update(hour=timezone.now() - timedelta(hours=3))
    use(big, 20)
    assert len(calls) == 2


def test_evaluating_without_changes_takes_two_queries(acme, django_assert_num_queries):
    use(acme, 3)
    with django_assert_num_queries(2):
        assert evaluate_alerts() == 0


def test_more_than_a_batch_is_evaluated(acme, stranger, monkeypatch):
    monkeypatch.setattr(queries, "BATCH", 1)
    for organization in (acme, stranger.organization):
        UsageCounterFactory(organization=organization, used=30)
        UsageGaugeFactory(organization=organization, feature="best_practices", value=7)
    assert evaluate_alerts() == 4


def test_owners_and_admins_get_one_email_each(acme, owner, admin, member, viewer):
    use(acme, 40)
    sent = letters()
    assert sorted(each.to[0] for each in sent) == ["admin@acme.example", "owner@acme.example"]
    email = sent[0]
    assert email.subject == "Acme has used 80% of its sessions"
    assert "You have used 40 of the 50 sessions included in your plan this period." in email.body and "/account/usage/" in email.body
    html, kind = email.alternatives[0]
    assert kind == "text/html" and "<h1" in html and "40 of the 50 sessions" in html


def test_emails_describe_each_alert(acme, owner, big):
    past(big, 24)
    use(big, 41)
    (spike,) = letters()
    assert "far more sessions than usual" in spike.subject and "the last two weeks is 10" in spike.body
    EntitlementsManager(acme).replace_grants("subscription", [])
    UsageTracker(acme).set_gauge("best_practices", 10)
    evaluate_alerts()
    (full,) = letters()
    assert full.subject == "Acme has used all its best practices"
    assert "All 10 best practices included in your plan are in use." in full.body and "resets" not in full.body


@pytest.mark.parametrize(
    ("enabled", "message"), [(True, "billed, up to your monthly spending cap of $20.00"), (False, "Further requests are refused.")]
)
def test_email_at_the_limit_states_whether_requests_continue(acme, owner, enabled, message):
    OverageSetting.objects.create(organization=acme, feature="sessions", enabled=enabled, cap_minor=2000, currency="usd")
    use(acme, 50)
    assert any(message in email.body for email in letters() if "all its sessions" in email.subject)


def test_former_members_and_closed_organizations_get_no_email(acme, owner, admin):
    use(acme, 40)
    admin.membership.delete()
    assert [each.to[0] for each in letters()] == ["owner@acme.example"]
    use(acme, 10)
    type(acme).objects.update(closed_at=timezone.now())
    assert letters() == []


def test_a_failing_mail_server_is_retried(acme, owner, settings):
    use(acme, 40)
    settings.EMAIL_BACKEND = "tests.support.failing_mail.Backend"
    (_, name, args), *_ = jobs("usage.send_alert_email")
    with pytest.raises(OSError):
        run(name, **args)
    assert tasks.send_alert_email.retry_strategy.max_attempts > 5


def test_a_name_cannot_inject_headers(acme, owner):
    acme.name = "Acme\nBcc: all@world.example"
    acme.save()
    use(acme, 40)
    assert "\n" not in letters()[0].subject


def test_endpoints_receive_alerts(acme, owner):
    WebhookManager(acme).add(owner.caller, "https://acme.example/hooks")
    use(acme, 40)
    row = WebhookDelivery.objects.get()
    body = json.loads(row.body)
    assert (row.event_type, body["type"]) == ("usage.threshold_reached", "usage.threshold_reached")
    data = body["data"]
    assert (data["feature"], data["threshold"], data["used"], data["included"]) == ("sessions", 80, 40, 50)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", data["periodEnd"])
    assert data["organizationId"] == str(acme.pk)


def test_endpoints_receive_spikes(big, owner):
    WebhookManager(big).add(owner.caller, "https://acme.example/hooks")
    past(big, 24)
    use(big, 41)
    data = json.loads(WebhookDelivery.objects.get(event_type="usage.spike").body)["data"]
    assert (data["used"], data["baseline"]) == (41, 10.0) and data["hour"].endswith(":00:00Z")


def test_old_checkpoints_are_purged(acme):
    use(acme, 3)
    UsageTracker(acme).set_gauge("best_practices", 3)
    tasks.evaluate_usage_alerts.func(timestamp=0)
    AlertCheckpoint.objects.exclude(period_start=NO_PERIOD).update(period_start=timezone.now() - timedelta(days=63))
    tasks.purge_webhook_deliveries.func(timestamp=0)
    assert set(AlertCheckpoint.objects.values_list("period_start", flat=True)) == {NO_PERIOD}
