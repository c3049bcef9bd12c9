"""Lists of the admin: pages by position, searches by indexed columns, filters, and JSON without secrets."""

import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.postgres.fields import ArrayField
from django.db.models import JSONField

from accounts.models import ApiKey, AuditEvent, Organization, User
from billing.models import Invoice, WebhookEvent
from contextmcp.common import admin_lists, admin_search
from contextmcp.common.admin_filters import distinct_values
from contextmcp.common.clock import now
from contextmcp.common.models import OutgoingEmail
from tests.factories.accounts import OrganizationFactory

pytestmark = pytest.mark.django_db
ORGANIZATIONS = "/admin/accounts/organization/"


@pytest.fixture
def staff(sign_in):
    return sign_in(User.objects.create_superuser("staff@example.com", "x"))


def shown(page):
    return list(page.context["cl"].result_list)


def follow(client, page, direction):
    links = page.context["cl"].paginator
    return client.get(ORGANIZATIONS + getattr(links, direction))


@pytest.fixture
def five(monkeypatch):
    monkeypatch.setattr(type(admin.site._registry[Organization]), "list_per_page", 2)
    return [OrganizationFactory(name=f"Company {n}", slug=f"company-{n}") for n in range(5)][::-1]


def test_pages_lead_forward_and_back(staff, five):
    first = staff.get(ORGANIZATIONS)
    second = follow(staff, first, "next")
    third = follow(staff, second, "next")
    assert [shown(page) for page in (first, second, third)] == [five[:2], five[2:4], five[4:]]
    assert (first.context["cl"].paginator.previous, third.context["cl"].paginator.next) == ("", "")
    assert shown(follow(staff, third, "previous")) == five[2:4]
    back = follow(staff, second, "previous")
    assert (shown(back), back.context["cl"].paginator.previous) == (five[:2], "")
    assert shown(follow(staff, third, "first")) == five[:2]
    assert 'rel="next"' in first.text
    assert 'rel="prev"' not in first.text


def test_a_new_row_does_not_shift_the_next_page(staff, five):
    first = staff.get(ORGANIZATIONS)
    OrganizationFactory(name="Later")
    assert shown(follow(staff, first, "next")) == five[2:4]


def test_rows_with_equal_times_are_each_shown_once(staff, monkeypatch):
    monkeypatch.setattr(type(admin.site._registry[AuditEvent]), "list_per_page", 2)
    AuditEvent.objects.bulk_create(AuditEvent(action="x", target=str(n), created_at=now()) for n in range(5))
    page, targets = staff.get("/admin/accounts/auditevent/?action__exact=x"), []
    while True:
        targets += [event.target for event in shown(page)]
        if not (link := page.context["cl"].paginator.next):
            break
        page = staff.get("/admin/accounts/auditevent/" + link)
    assert sorted(targets) == list("01234")
    assert len(shown(page)) == 1


def test_a_page_keeps_filters_and_a_filter_leaves_the_page(staff, five):
    page = staff.get(ORGANIZATIONS + "?q=company&closed_at__isempty=1")
    following = follow(staff, page, "next")
    assert shown(following) == five[2:4]
    links = re.findall(r'href="(\?[^"]*closed_at[^"]*)"', following.text)
    assert links
    assert all("after=" not in link or "rel=" in following.text.split(link)[0][-80:] for link in links)


@pytest.mark.parametrize("position", ["x", "W10", "WyJub25zZW5zZSJd", "bnVsbA", "%00"])
def test_a_malformed_position_shows_the_first_page(staff, five, position):
    page = staff.get(ORGANIZATIONS + f"?after={position}", follow=True)
    assert page.status_code == 200
    assert shown(page) == five[:2]


def test_a_column_in_the_url_does_not_change_the_order(staff, five):
    assert shown(staff.get(ORGANIZATIONS + "?o=1")) == five[:2]


def test_all_rows_can_be_selected_if_they_are_few(staff, five, monkeypatch):
    assert "Select all 5 organizations" in staff.get(ORGANIZATIONS).text
    monkeypatch.setattr(admin_lists, "MAX_COUNT", 4)
    assert "Select all 5" not in staff.get(ORGANIZATIONS).text


def test_a_list_does_not_count_or_skip_rows(staff, five, django_assert_max_num_queries):
    with django_assert_max_num_queries(12) as captured:
        assert staff.get(ORGANIZATIONS + "?q=company").context["cl"].paginator.next
    unbounded = [
        each["sql"] for each in captured if ("COUNT(" in each["sql"] and "LIMIT 1001" not in each["sql"]) or "OFFSET" in each["sql"]
    ]
    assert unbounded == []


@pytest.mark.parametrize(
    ("term", "found"),
    [("Comp", 5), ("company 3", 1), ("company-2", 1), (" COMPANY 1 ", 1), ("ompany", 0), ("%", 0), ("99", 0), ("a" * 3000, 0)],
)
def test_a_search_compares_the_beginning(staff, five, term, found):
    assert len(shown(staff.get(ORGANIZATIONS, {"q": term}, follow=True))) == min(found, 2)


def test_organizations_are_found_by_id_and_member(staff, acme, owner, five):
    for term in (acme.pk, str(acme.pk).upper(), owner.user.email.upper()):
        assert shown(staff.get(ORGANIZATIONS, {"q": term})) == [acme], term


def test_rows_are_found_by_their_organization(staff, acme, owner):
    assert owner.key
    key = ApiKey.objects.get(organization=acme)
    for term in (acme.name, acme.slug, acme.pk, key.pk, owner.user.email):
        assert shown(staff.get("/admin/accounts/apikey/", {"q": term})) == [key], term


def test_an_incomplete_result_is_reported(staff, acme, owner, monkeypatch):
    monkeypatch.setattr(admin_search, "MAX_RELATED", 1)
    OrganizationFactory(name="Acme Two")
    assert "results are missing" in staff.get("/admin/accounts/apikey/?q=Acme").text
    assert "results are missing" not in staff.get("/admin/accounts/apikey/?q=Acme+Two").text


def test_an_invoice_is_found_by_number_and_payment(staff, acme):
    amounts = dict.fromkeys(("subtotal", "total", "amount_due", "amount_paid", "amount_remaining"), 900)
    ids = {"stripe_invoice_id": "in_1", "number": "ACME-0001", "payment_ids": "pi_1 ch_1"}
    invoice = Invoice.objects.create(organization=acme, created_at=now(), status="paid", currency="usd", **ids, **amounts)
    for term in ("acme-0001", "ACME-", "in_1", "pi_1", "ch_1"):
        assert shown(staff.get("/admin/billing/invoice/", {"q": term})) == [invoice], term
    assert shown(staff.get("/admin/billing/invoice/", {"q": "pi_"})) == []


def test_a_message_is_found_by_each_recipient(staff):
    expires = now() + timedelta(1)
    email = OutgoingEmail.objects.create(category="x", recipients=["a@b.example", "c@d.example"], subject="x", expires_at=expires)
    assert shown(staff.get("/admin/common/outgoingemail/?q=c@d.example")) == [email]


def test_the_values_of_a_filter_are_read_from_the_index():
    WebhookEvent.objects.bulk_create(WebhookEvent(event_id=f"evt_{n}", type=f"type.{n % 3}", payload={}) for n in range(9))
    assert distinct_values(WebhookEvent, "type") == ["type.0", "type.1", "type.2"]


def test_the_help_of_a_search_names_its_columns(staff):
    assert admin.site._registry[Organization].search_help_text == "Search by name, slug, email, ID or user email"


@pytest.mark.parametrize("model", sorted(admin.site._registry, key=lambda each: each._meta.label))
def test_the_order_of_a_list_is_total_and_without_null(model):
    model_admin = admin.site._registry[model]
    fields = admin_lists.Keyset(tuple(model_admin.ordering)).fields(model)
    assert not any(field.null for field in fields)
    assert fields[-1].unique


@pytest.mark.parametrize("model", sorted(admin.site._registry, key=lambda each: each._meta.label))
def test_no_filter_or_search_reads_the_whole_table(model):
    model_admin = admin.site._registry[model]
    assert not model_admin.date_hierarchy
    for path in model_admin.search_fields:
        assert not re.search(r"__i?(contains|regex|endswith)$", path) or isinstance(
            model._meta.get_field(path.split("__")[0]), ArrayField
        ), path
    for name in model_admin.list_filter:
        if isinstance(name, str):
            field = model._meta.get_field(name)
            assert field.choices or field.get_internal_type() in {"BooleanField", "DateTimeField", "ForeignKey"}, name


def test_pages_of_billing_show_no_secret(staff):
    secret = "pi_3abc_secret_abcdefghijklmnop"
    payload = {"data": {"object": {"client_secret": secret, "note": f"see {secret}", "id": "pi_3abc"}}}
    event = WebhookEvent.objects.create(event_id="evt_1", type="payment_intent.created", payload=payload)
    page = staff.get(f"/admin/billing/webhookevent/{event.pk}/change/").text
    assert "pi_3abc" in page
    assert secret not in page
    assert "[removed]" in page


def test_all_pages_of_billing_with_json_remove_secrets():
    from billing.admin_base import RedactedPage

    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label == "billing" and any(isinstance(field, JSONField) for field in model._meta.fields):
            assert isinstance(model_admin, RedactedPage), model
