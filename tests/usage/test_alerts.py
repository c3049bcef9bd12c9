"""Warnings of use: at 50, 80 and 100 %, and of spikes; once a period each."""

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
from tests.factories.usage import UsageCounterFactory, UsageLevelFactory, subscribe
from tests.support.stripe import jobs, run
from usage import tasks
from usage.alerts import rules, selectors, sources
from usage.alerts.look import look
from usage.models import NO_PERIOD, UsageAlert, UsageCounter, UsageSummary, UsageWatch, WebhookDelivery
from usage.tracker import UsageTracker
from usage.webhooks.manager import WebhookManager

pytestmark = pytest.mark.django_db
K = UsageAlert.Kind


def kinds(**wanted):
    return list(UsageAlert.objects.filter(**wanted).order_by("created_at").values_list("kind", flat=True))


def use(organization, amount):
    UsageTracker(organization).consume("sessions", amount)
    return look()


def letters():
    """Work off the mails that are queued, once."""
    for number, name, args in jobs("usage.mail_alert"):
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM procrastinate_jobs WHERE id = %s", [number])
        run(name, **args)
    found, mail.outbox[:] = list(mail.outbox), []
    return found


@pytest.mark.parametrize(
    ("used", "limit", "reached"),
    [
        (0, 0, None),
        (1, 0, None),
        (9, None, None),
        (-3, 10, None),
        (24, 50, None),
        (25, 50, 50),
        (39, 50, 50),
        (40, 50, 80),
        (49, 50, 80),
        (50, 50, 100),
        (70, 50, 100),
        (1, 3, None),
        (2, 3, 50),
    ],
)
def test_when_a_threshold_is_reached(used, limit, reached):
    assert rules.threshold(used, limit) == reached


def test_when_an_hour_is_a_spike():
    assert rules.Past(23, 2300, 100).spike_above is None
    assert rules.Past(24, 2400, 100).spike_above == 400
    assert rules.Past(24, 2400, 900).spike_above == 900
    assert rules.Past(24, 24, 1).spike_above == 19


def test_each_threshold_is_told_once(acme):
    assert use(acme, 24) == 0
    assert use(acme, 1) == 1
    assert use(acme, 1) == 0
    assert use(acme, 14) == 1
    assert use(acme, 10) == 1
    assert kinds() == [K.HALF, K.MOST, K.ALL]
    assert look() == 0
    alert = UsageAlert.objects.get(kind=K.ALL)
    period = EntitlementsManager(acme).require("sessions").period(now(acme))
    assert (alert.used, alert.included, alert.period_start, alert.period_end) == (50, 50, period.start, period.end)


def test_what_jumps_over_several_is_told_of_the_highest_alone(acme):
    use(acme, 50)
    assert kinds() == [K.ALL]
    EntitlementsManager(acme).override("sessions", 90, reason="A promise")
    assert use(acme, 1) == 0
    assert kinds() == [K.ALL]


def test_a_new_period_begins_anew(acme):
    use(acme, 50)
    acme.clock_offset = timedelta(days=32)
    acme.save()
    assert use(acme, 50) == 1
    assert kinds() == [K.ALL, K.ALL]


def test_looking_again_after_a_crash_tells_nothing_twice(acme, owner):
    use(acme, 25)
    UsageWatch.objects.all().delete()
    assert look() == 0
    assert len(letters()) == 1


def test_what_is_unlimited_or_of_a_plan_that_is_no_more_is_no_news(acme):
    UsageTracker(acme).consume("sessions", 50)
    subscribe(acme, "enterprise")
    UsageTracker(acme).consume("sessions", 5000)
    assert look() == 0


def test_what_the_worker_missed_shortly_before_the_period_ended_is_still_told(acme):
    UsageCounterFactory(organization=acme, used=40)
    end = UsageCounter.objects.get().period_end
    acme.clock_offset = end + timedelta(hours=23) - timezone.now()
    acme.save()
    assert look() == 1
    UsageAlert.objects.all().delete()
    UsageWatch.objects.all().delete()
    acme.clock_offset += timedelta(hours=2)
    acme.save()
    assert look() == 0


def test_a_closed_organization_hears_nothing(acme):
    UsageTracker(acme).consume("sessions", 50)
    type(acme).objects.update(closed_at=timezone.now())
    assert look() == 0


def test_levels_are_told_once_a_period_however_they_go_up_and_down(acme):
    for value, told in ((4, 0), (5, 1), (3, 0), (6, 0), (8, 1), (10, 1), (2, 0), (10, 0)):
        UsageTracker(acme).state_level("best_practices", value)
        assert look() == told, value
    assert kinds(feature="best_practices") == [K.HALF, K.MOST, K.ALL]
    acme.clock_offset = timedelta(days=32)
    acme.save()
    assert look() == 0
    UsageTracker(acme).state_level("best_practices", 9)
    assert look() == 1


def test_a_plan_with_one_project_is_not_news_when_it_has_one(acme, owner):
    UsageLevelFactory(organization=acme, feature="projects", value=1)
    assert look() == 0


def test_members_are_a_level_too(acme, owner, admin, member, viewer):
    subscribe(acme)
    look()
    MembershipFactory(organization=acme)
    assert look() == 1
    assert kinds(feature="team_members") == [K.HALF]


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


def test_an_hour_far_above_the_usual_is_told_once(big):
    past(big, 24)
    assert use(big, 40) == 0
    assert use(big, 1) == 1
    alert = UsageAlert.objects.get()
    assert (alert.kind, alert.used, alert.usual, alert.included) == (K.SPIKE, 41, 10.0, None)
    assert use(big, 100) == 0
    assert [one.pk for one in selectors.recent_spikes(big)] == [alert.pk]


def test_what_happens_every_night_is_usual(big):
    past(big, 30)
    past(big, 1, amount=500, before=100)
    assert use(big, 400) == 0
    assert use(big, 101) == 1


def test_a_short_past_and_small_amounts_say_nothing(big):
    past(big, 23)
    assert use(big, 1000) == 0
    UsageSummary.objects.all().delete()
    past(big, 30, amount=1)
    assert use(big, 19) == 0


def test_an_older_past_does_not_count(big):
    past(big, 40, before=14 * 24 + 1)
    assert use(big, 1000) == 0


def test_the_past_is_looked_up_once_an_hour(big, monkeypatch):
    calls = []
    real = sources.past
    monkeypatch.setattr(sources, "past", lambda *place: calls.append(place) or real(*place))
    past(big, 30)
    for _ in range(4):
        use(big, 20)
    assert len(calls) == 1
    UsageWatch.objects.update(hour=timezone.now() - timedelta(hours=3))
    use(big, 20)
    assert len(calls) == 2


def test_looking_at_nothing_new_costs_two_questions(acme, django_assert_num_queries):
    use(acme, 3)
    with django_assert_num_queries(2):
        assert look() == 0


def test_more_than_a_batch_is_looked_at(acme, stranger, monkeypatch):
    monkeypatch.setattr(sources, "BATCH", 1)
    for organization in (acme, stranger.organization):
        UsageCounterFactory(organization=organization, used=30)
        UsageLevelFactory(organization=organization, feature="best_practices", value=7)
    assert look() == 4


def test_owners_and_admins_get_a_letter_each(acme, owner, admin, member, viewer):
    use(acme, 40)
    sent = letters()
    assert sorted(each.to[0] for each in sent) == ["admin@acme.example", "owner@acme.example"]
    letter = sent[0]
    assert letter.subject == "Acme has used 80 % of its sessions"
    assert "40 of the 50 sessions" in letter.body and "/account/usage/" in letter.body
    html, kind = letter.alternatives[0]
    assert kind == "text/html" and "<h1" in html and "40 of the 50 sessions" in html


def test_letters_say_what_each_warning_is_about(acme, owner, big):
    past(big, 24)
    use(big, 41)
    (spike,) = letters()
    assert "far more sessions than usual" in spike.subject and "10 are usual" in spike.body
    EntitlementsManager(acme).replace_grants("subscription", [])
    UsageTracker(acme).state_level("best_practices", 10)
    look()
    (full,) = letters()
    assert full.subject == "Acme has used all its best practices"
    assert "are in use" in full.body and "afresh" not in full.body


def test_who_left_and_who_closed_get_none(acme, owner, admin):
    use(acme, 40)
    admin.membership.delete()
    assert [each.to[0] for each in letters()] == ["owner@acme.example"]
    use(acme, 10)
    type(acme).objects.update(closed_at=timezone.now())
    assert letters() == []


def test_a_mail_server_that_fails_is_tried_again(acme, owner, settings):
    use(acme, 40)
    settings.EMAIL_BACKEND = "tests.support.failing_mail.Backend"
    (_, name, args), *_ = jobs("usage.mail_alert")
    with pytest.raises(OSError):
        run(name, **args)
    assert tasks.mail_alert.retry_strategy.max_attempts > 5


def test_a_name_cannot_write_headers(acme, owner):
    acme.name = "Acme\nBcc: all@world.example"
    acme.save()
    use(acme, 40)
    assert "\n" not in letters()[0].subject


def test_endpoints_are_told_what_happened(acme, owner):
    WebhookManager(acme).add(owner.caller, "https://acme.example/hooks")
    use(acme, 40)
    told = WebhookDelivery.objects.get()
    body = json.loads(told.body)
    assert (told.event_type, body["type"]) == ("usage.threshold_reached", "usage.threshold_reached")
    data = body["data"]
    assert (data["feature"], data["threshold"], data["used"], data["included"]) == ("sessions", 80, 40, 50)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", data["periodEnd"])
    assert data["organizationId"] == str(acme.pk)


def test_endpoints_are_told_of_spikes(big, owner):
    WebhookManager(big).add(owner.caller, "https://acme.example/hooks")
    past(big, 24)
    use(big, 41)
    data = json.loads(WebhookDelivery.objects.get(event_type="usage.spike").body)["data"]
    assert (data["used"], data["usual"]) == (41, 10.0) and data["hour"].endswith(":00:00Z")


def test_old_watches_go(acme):
    use(acme, 3)
    UsageTracker(acme).state_level("best_practices", 3)
    tasks.look_for_alerts.func(timestamp=0)
    UsageWatch.objects.exclude(period_start=NO_PERIOD).update(period_start=timezone.now() - timedelta(days=63))
    tasks.keep_webhooks.func(timestamp=0)
    assert set(UsageWatch.objects.values_list("period_start", flat=True)) == {NO_PERIOD}
