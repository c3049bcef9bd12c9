"""The usage page: choices, words, and that it needs no script."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from tests.factories.billing import Payer
from tests.web.usage.rows import count, record
from usage.tracker import UsageTracker

pytestmark = pytest.mark.django_db
MAX_QUERIES = 12


def words(answer):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.text)))


def test_every_choice_is_a_link_that_shows_itself_as_selected(busy, owner, sign_in):
    client = sign_in(owner)
    waiting, seen = ["/account/usage/"], set()
    while waiting:
        address = waiting.pop()
        answer = client.get(address)
        assert answer.status_code == 200
        links = re.findall(r'<li><a href="(/account/usage/[^"]*)"( aria-current="true")?>([^<]*)</a></li>', answer.text)
        for link, current, title in links:
            href = unescape(link)
            if href not in seen:
                seen.add(href)
                waiting.append(href)
            if current and "?" in address:
                assert title in words(answer)
        # Features can be chosen where more than one was used.
        assert len([1 for _, current, _ in links if current]) in {2, 3}, address
    # Two features, six periods and four groups.
    assert len(seen) >= 2 * 6 * 4


def test_a_custom_period_is_a_form_that_keeps_what_was_typed(busy, owner, sign_in):
    client = sign_in(owner)
    page = client.get("/account/usage/?period=custom&by=key")
    assert re.search(r'<form method="get" action="/account/usage/" class="days">', page.text)
    assert '<input type="hidden" name="by" value="key">' in page.text
    for query, message in (
        ({"since": "2999-01-01", "until": "2999-01-02"}, "Enter a day that is not in the future."),
        ({"since": "2026-01-05", "until": "2026-01-04"}, "Enter a day that is not before the first one."),
        ({"since": "2020-01-01", "until": f"{now():%Y-%m-%d}"}, "Choose at most three years."),
        ({"since": "x", "until": ""}, "Enter a valid date."),
    ):
        page = client.get("/account/usage/", {"period": "custom", **query})
        assert page.status_code == 200
        assert message in words(page), query
        assert f'value="{query["since"]}"' in page.text
    for nonsense in ("period=nonsense", "by=nonsense", "feature=%00", "period=custom&since=0001-01-01&until=9999-12-31"):
        assert client.get(f"/account/usage/?{nonsense}").status_code == 200


def test_the_chart_is_described_in_words_and_needs_no_script(busy, owner, sign_in):
    for query in ("", "?period=week", "?by=key&period=month", "?period=day&by=tool"):
        answer = sign_in(owner).get(f"/account/usage/{query}")
        assert (
            len(re.findall(r"<svg class=\"plot\" role=\"img\" aria-labelledby=\"report\" aria-describedby=\"summary\">", answer.text)) == 1
        )
        assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*src=)", answer.text)
        # A number with a decimal comma, or a missing value, would make an element disappear.
        for name, value in re.findall(r'\s(x|y|x1|y1|x2|y2|cx|cy|width|height)="([^"]*)"', answer.text.split('class="plot"')[1]):
            assert re.fullmatch(r"-?\d+(\.\d+)?%?", value), (name, value)


def test_the_change_is_a_figure_and_a_percentage(acme, owner, sign_in):
    at = now(acme)
    record(acme, {"occurred_at": at - timedelta(days=1), "amount": 15}, {"occurred_at": at - timedelta(days=8), "amount": 10})
    assert "50% more than in the period before: 15 now, 10 then." in words(sign_in(owner).get("/account/usage/?period=week"))
    record(acme, {"occurred_at": at - timedelta(days=9), "amount": 20})
    assert "50% less than in the period before: 15 now, 30 then." in words(sign_in(owner).get("/account/usage/?period=week"))
    record(acme, {"occurred_at": at - timedelta(days=2), "amount": 15})
    assert "As much as in the period before." in words(sign_in(owner).get("/account/usage/?period=week"))
    text = words(sign_in(owner).get("/account/usage/?period=month"))
    assert "Nothing was used in the period before." in text


def test_nothing_used_is_said(acme, owner, sign_in):
    answer = sign_in(owner).get("/account/usage/")
    assert "No usage in this time. Sessions appear here once a client is connected." in words(answer)
    assert 'class="plot"' not in answer.text and 'class="numbers"' not in answer.text


def test_the_limit_is_a_line_and_a_sentence(acme, owner, sign_in):
    UsageTracker(acme).consume("sessions", 45)
    answer = sign_in(owner).get("/account/usage/")
    assert "45 of 50 included" in words(answer) and "5 left until the quota resets on" in words(answer)
    assert 'class="limit-line limit"' in answer.text and "Included: 50" in words(answer)
    assert '<p class="big near">' in answer.text
    UsageTracker(acme).consume("sessions", 5)
    answer = sign_in(owner).get("/account/usage/")
    assert "Everything included is used. Requests are refused until the quota resets on" in words(answer)
    assert '<a href="/account/activity/?kind=refusal">See refused requests</a>' in answer.text
    assert '<p class="big full">' in answer.text
    EntitlementsManager(acme).grant("enterprise", reason="x")
    answer = sign_in(owner).get("/account/usage/")
    assert "Sessions are unlimited on your plan." in words(answer) and 'class="limit-line' not in answer.text


@pytest.fixture
def payer(stripe_world, acme):
    payer = Payer.make(stripe_world, acme)
    payer.buy()
    return payer


def test_overage_is_shown_in_money_against_the_cap(payer, owner, sign_in):
    from billing.manager import BillingManager

    acme = payer.organization
    BillingManager(acme).set_overage(enabled=True, cap=2550)
    UsageTracker(acme).consume("sessions", 1200)
    for query in ("", "?period=week&by=key"):
        text = words(sign_in(owner).get(f"/account/usage/{query}"))
        assert "Overage $4.00 of $25.50" in text
        assert "200 sessions beyond your plan at $0.02 each" in text
        assert "200 over quota, billed as overage." in text
    answer = sign_in(owner).get("/account/usage/")
    assert "Everything included is used, and 200 more as overage." in words(answer)
    assert "Spending cap: 2,275" in words(answer)


def test_the_number_of_queries_is_limited(payer, owner, admin, member, sign_in):
    from accounts.manager import AuthManager
    from billing.manager import BillingManager

    acme = payer.organization
    BillingManager(acme).set_overage(enabled=True, cap=2550)
    keys = [AuthManager(acme).generate_key(owner.caller, name)[0].pk for name in ("One", "Two")]
    rows = [{"occurred_at": now(acme) - timedelta(days=day), "key_id": keys[day % 2], "member_id": owner.user.pk} for day in range(40)]
    record(acme, *rows)
    count(acme, now(acme))
    client = sign_in(owner)
    for query in ("", "?by=key", "?by=member&period=month", "?by=tool&period=day", "?period=last", "?period=custom"):
        client.get(f"/account/usage/{query}")
        with CaptureQueriesContext(connection) as requested:
            assert client.get(f"/account/usage/{query}").status_code == 200
        statements = [each["sql"] for each in requested if 'FROM "entitlements_planversion"' not in each["sql"]]
        assert len(statements) < MAX_QUERIES, "\n".join([query, *statements])
