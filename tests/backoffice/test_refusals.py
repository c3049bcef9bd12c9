"""The admin's list of refusals."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import ApiKey, User
from tests.factories.oauth import connect_app
from usage.models import RefusalSummary

pytestmark = pytest.mark.django_db
LIST = "/admin/usage/refusalsummary/"


@pytest.fixture
def staff(sign_in):
    return sign_in(User.objects.create_superuser("staff@example.com", "x"))


def row(acme, code="quota_exceeded", *, ago=timedelta(minutes=5), **more):
    minute = (timezone.now() - ago).replace(second=0, microsecond=0)
    return RefusalSummary.objects.create(organization=acme, minute=minute, code=code, count=3, **more)


def shown(staff, query=""):
    return list(staff.get(LIST + query).context["cl"].result_list)


def test_the_last_day_is_shown_unless_another_time_is_chosen(staff, acme):
    now, yesterday = row(acme), row(acme, ago=timedelta(hours=30))
    hours_ago, weeks_ago = row(acme, ago=timedelta(hours=3)), row(acme, ago=timedelta(days=20))
    assert shown(staff) == shown(staff, "?since=day") == shown(staff, "?since=nonsense") == [now, hours_ago]
    assert shown(staff, "?since=hour") == [now]
    assert shown(staff, "?since=week") == [now, hours_ago, yesterday]
    assert shown(staff, "?since=all") == [now, hours_ago, yesterday, weeks_ago]


def test_a_link_selects_the_minute_of_an_organization(staff, acme, stranger):
    matching = row(acme, ago=timedelta(hours=30))
    row(stranger.organization, ago=timedelta(hours=30))
    row(acme, ago=timedelta(hours=30, minutes=1))
    times = {"minute__gte": matching.minute.isoformat(), "minute__lt": (matching.minute + timedelta(minutes=1)).isoformat()}
    page = staff.get(LIST, {"organization__id__exact": str(acme.pk), **times})
    assert list(page.context["cl"].result_list) == [matching]


def test_rows_are_filtered_by_code_and_feature_and_searched_by_organization(staff, acme, stranger):
    quota, rate = row(acme, feature="sessions"), row(acme, "rate_limited", feature="context_queries")
    row(stranger.organization, "tool_not_available")
    assert shown(staff, "?code__exact=rate_limited") == [rate]
    assert shown(staff, "?feature__exact=sessions") == [quota]
    assert shown(staff, f"?q={acme.slug}") == [rate, quota]


def test_an_organization_is_searched_at_all_times(staff, acme):
    yesterday = row(acme, ago=timedelta(hours=30))
    assert shown(staff, f"?q={acme.slug}") == shown(staff, f"?organization__id__exact={acme.pk}") == [yesterday]
    assert shown(staff, f"?q={acme.slug}&since=day") == shown(staff, "?q=") == []


def test_the_key_or_connected_app_is_named(staff, acme, owner):
    assert owner.key
    key, (app, *_) = ApiKey.objects.get(organization=acme), connect_app(owner.membership)
    one, other, gone = row(acme, key_id=key.pk), row(acme, key_id=app.pk), row(acme, key_id=uuid4())
    nameless = row(acme)
    page = staff.get(LIST)
    assert f'<a href="/admin/accounts/apikey/{key.pk}/change/">{key.name}</a>' in page.text
    assert f'<a href="/admin/accounts/oauthgrant/{app.pk}/change/">{app.client_name}</a>' in page.text
    assert "deleted" in page.text
    for each, text in ((one, key.name), (other, app.client_name), (gone, "deleted"), (nameless, "quota_exceeded")):
        assert text in staff.get(f"{LIST}{each.pk}/change/").text


def test_the_list_takes_a_fixed_number_of_queries(staff, acme, owner, django_assert_max_num_queries):
    for number in range(30):
        row(acme, feature=f"f{number}", key_id=uuid4())
    with django_assert_max_num_queries(10):
        assert len(shown(staff)) == 30
