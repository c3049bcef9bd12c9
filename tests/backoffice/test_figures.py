"""The business figures of the dashboard, and their files."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from django.contrib.auth.models import Group

from accounts.models import AuditEvent, User
from billing.models import SubscriptionChange
from billing.revenue import rebuild
from billing.revenue.selectors import Period
from contextmcp.backoffice.figures import charts
from contextmcp.common.clock import now
from tests.factories.accounts import OrganizationFactory
from usage.tracker import UsageTracker

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
RANGE = "?first=2026-03-01&last=2026-03-31"
FILES = ["days", "movements", "usage"]


@pytest.fixture
def staff(sign_in):
    return sign_in(User.objects.create_superuser("staff@example.com", "x"))


def member_of(role):
    user = User.objects.create_user(f"{role}@staff.example", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def bill(organization, at, subscription="sub_1", amount=900, **values):
    price = {"amount": amount, "interval": "month", "interval_count": 1}
    defaults = {"status": "active", "currency": "usd", "prices": [price], "discounts": []}
    SubscriptionChange.objects.create(
        organization=organization, stripe_subscription_id=subscription, effective_at=at, **{**defaults, **values}
    )


@pytest.fixture
def march(acme):
    """Acme pays from March 1, upgrades on March 10; another customer ends on March 20, and a trial converts on March 15."""
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    other, third = OrganizationFactory(name="=Other"), OrganizationFactory(name="Third")
    bill(other, start - 40 * DAY, "sub_2")
    bill(acme, start)
    bill(acme, start + 9 * DAY, amount=2_900)
    bill(other, start + 19 * DAY, "sub_2", status="canceled")
    bill(third, start, "sub_3", status="trialing", on_first_trial=True)
    bill(third, start + 14 * DAY, "sub_3", status="past_due")
    rebuild.rebuild_recent_days(date(2026, 4, 2))


def values(page, name="revenue_figures"):
    return {figure.name: (figure.value, figure.before) for figure in page.context[name]}


def test_the_figures_of_a_period_and_of_the_one_before(staff, march):
    page = staff.get(f"/admin/{RANGE}")
    result = values(page)
    assert result["mrr"] == ("$38.00", "$9.00")
    assert result["arr"] == ("$456.00", "$108.00")
    assert result["net"] == ("$29.00", "$0.00")
    assert result["customers"] == ("2", "1")
    assert result["arpu"] == ("$19.00", "$9.00")
    assert result["conversion"] == ("100.0%", "-")
    assert result["customer_churn"] == ("100.0%", "0.0%")
    assert result["revenue_churn"] == ("100.0%", "0.0%")
    assert result["at_risk"] == ("$9.00", "$0.00")
    assert {name: value for name, (value, _) in values(page, "movements").items()} == {
        "new": "$18.00",
        "expansion": "$20.00",
        "reactivation": "$0.00",
        "contraction": "$0.00",
        "churn": "-$9.00",
    }
    assert (page.context["opening"], page.context["closing"]) == (("$9.00", "$9.00"), ("$38.00", "$9.00"))


def test_adjacent_periods_agree(staff, march):
    ranges = [f"?first=2026-03-{first:02}&last=2026-03-{first + 4:02}" for first in range(1, 26, 5)]
    pages = [staff.get(f"/admin/{each}").context for each in ranges]
    assert all(earlier["closing"][0] == later["opening"][0] for earlier, later in pairwise(pages))


def test_each_figure_has_its_definition(staff, march):
    text = staff.get(f"/admin/{RANGE}").text
    assert 'aria-describedby="definition-mrr"' in text and 'id="definition-mrr"' in text
    assert text.count("Monthly recurring revenue") == 2


@pytest.mark.parametrize("query", ["?first=2026-03-09&last=2026-03-01", "?first=1900-01-01", "?first=x", "?currency=xyz"])
def test_an_impossible_selection_shows_the_default(staff, march, query):
    page = staff.get(f"/admin/{query}")
    assert page.status_code == 200
    assert page.context["selection"].period.length == 30
    assert 'role="alert"' in page.text


def test_usage_and_active_organizations_are_shown(staff, acme):
    UsageTracker(acme).consume("sessions", 7)
    rebuild.rebuild_recent_days()
    page = staff.get("/admin/")
    assert [(row.title, row.amount) for row in page.context["usage_rows"]] == [("Sessions", 7)]
    assert values(page, "organization_figures") == {"organizations": ("1", "0"), "active": ("1", "0")}


@pytest.mark.parametrize(("role", "allowed"), [("finance", True), ("viewer", False), ("support", False), ("engineer", False)])
def test_only_some_roles_see_revenue(sign_in, march, role, allowed):
    client = sign_in(member_of(role))
    assert ("MRR" in client.get(f"/admin/{RANGE}").text) is allowed
    assert {client.get(f"/admin/figures/{name}.csv{RANGE}").status_code for name in FILES} == {200 if allowed else 403}


def test_files_are_audited_and_run_no_formulas(staff, march):
    text = staff.get(f"/admin/figures/movements.csv{RANGE}").getvalue().decode()
    assert [line.split(",")[2:] for line in text.split()[1:]] == [
        ["Acme", "new", "usd", "0.00", "9.00"],
        ["Acme", "expansion", "usd", "9.00", "29.00"],
        ["Third", "new", "usd", "0.00", "9.00"],
        ["'=Other", "churn", "usd", "9.00", "0.00"],
    ]
    event = AuditEvent.objects.get(action="revenue.exported")
    assert event.actor_user.email == "staff@example.com"
    assert event.after == {"file": "movements", "first": "2026-03-01", "last": "2026-03-31", "currency": "usd"}


def test_the_days_of_the_file_continue_each_other(staff, march):
    lines = [line.split(",") for line in staff.get(f"/admin/figures/days.csv{RANGE}").getvalue().decode().split()]
    columns = {name: place for place, name in enumerate(lines[0])}
    rows = lines[1:]
    assert len(rows) == 31
    assert all(earlier[columns["closing_mrr"]] == later[columns["opening_mrr"]] for earlier, later in pairwise(rows))


def test_an_unknown_file_is_not_found(staff):
    assert staff.get("/admin/figures/everything.csv").status_code == 404


def test_the_page_takes_few_queries(staff, march, django_assert_max_num_queries):
    for number in range(12):
        bill(OrganizationFactory(), now() - 20 * DAY, f"sub_{number + 10}", currency="eur")
    rebuild.rebuild_recent_days()
    staff.get("/admin/")
    with django_assert_max_num_queries(30):
        assert staff.get("/admin/").status_code == 200


def test_a_long_range_has_a_point_for_each_week():
    period = Period(date(2026, 1, 1), date(2026, 12, 31))
    chart = charts.draw("Calls", period, {date(2026, 12, 31): 5, date(2026, 12, 26): 2, date(2026, 1, 1): 1}, str, is_sum=True)
    assert (len(chart.rows), chart.rows[-1].day, chart.rows[-1].value, chart.rows[0].value) == (53, date(2026, 12, 31), "7", "1")
    assert sum(int(row.value) for row in chart.rows) == 8
