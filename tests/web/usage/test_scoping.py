"""Members see the usage of others only if they manage members. Nothing of another organization is shown."""

from datetime import timedelta

import pytest

from contextmcp.common.clock import now
from tests.web.usage.rows import record

pytestmark = pytest.mark.django_db


def series(answer):
    return {each.label.name: each.change.total for each in answer.context["page"].report.series}


def of(busy, name, value):
    """Return the units of the last 30 days with a value, and without it."""
    since = now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=29)
    events = [event for event in busy.events() if event.occurred_at >= since]
    mine = sum(event.amount for event in events if getattr(event, name) == value)
    return mine, sum(event.amount for event in events) - mine


def test_owners_and_admins_see_every_key_and_member(busy, owner, admin, usage_page):
    for person in (owner, admin):
        by_key = usage_page(person, by="key", period="month")
        assert set(series(by_key)) == {"CI", "Mine", "Editor", "Deleted keys and apps", "Without an API key"}
        by_member = usage_page(person, by="member", period="month")
        assert set(series(by_member)) == {
            "Olga Owner",
            by_member.context["page"].report.series and _member_name(busy),
            "Former members",
            "Without a member",
        }
        assert "Only admins and owners see" not in by_key.text + by_member.text


def _member_name(busy):
    from accounts.models import User

    return User.objects.get(pk=busy.members["member"]).get_full_name()


def test_members_see_their_own_keys_apps_and_usage(busy, member, usage_page):
    answer = usage_page(member, by="key", period="month")
    shown = series(answer)
    assert set(shown) == {"Mine", "Editor", "Keys and apps of other members", "Without an API key"}
    assert shown["Mine"] == of(busy, "key_id", busy.keys["Mine"])[0]
    assert shown["Editor"] == of(busy, "key_id", busy.keys["app"])[0]
    assert "CI" not in answer.text and "Only admins and owners see the usage of other members." in answer.text
    answer = usage_page(member, by="member", period="month")
    shown, (mine, _) = series(answer), of(busy, "member_id", member.user.pk)
    assert set(shown) == {"You", "Other members", "Without a member"}
    assert (shown["You"], sum(shown.values())) == (mine, sum(of(busy, "member_id", member.user.pk)))
    assert "Olga Owner" not in answer.text


def test_viewers_see_only_totals_of_others(busy, viewer, usage_page, sign_in):
    assert set(series(usage_page(viewer, by="key"))) == {"Keys and apps of other members", "Without an API key"}
    assert set(series(usage_page(viewer, by="member"))) == {"Other members", "Without a member"}
    # Tools are not personal.
    assert set(series(usage_page(viewer, by="tool"))) == {"search", "translate", "Without an MCP tool"}
    text = sign_in(viewer).get("/account/usage/csv/?by=key&period=month").text
    assert "CI" not in text and "Mine" not in text and "Keys and apps of other members" in text


def test_other_organizations_are_not_read(busy, stranger, usage_page, sign_in):
    record(stranger.organization, {"occurred_at": now(), "amount": 5, "key_id": busy.keys["CI"], "member_id": busy.members["owner"]})
    answer = usage_page(stranger, by="key", period="month")
    assert series(answer) == {"Deleted keys and apps": 5}
    assert "CI" not in answer.text
    assert series(usage_page(stranger, by="member", period="month")) == {"Former members": 5}
    assert "CI" not in sign_in(stranger).get("/account/usage/csv/?by=key").text


def test_the_csv_requires_a_member(busy, client, db):
    answer = client.get("/account/usage/csv/?by=key")
    assert answer.status_code == 302 and answer.url.startswith("/accounts/login/")
