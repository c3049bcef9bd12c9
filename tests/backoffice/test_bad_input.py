"""Input that no browser sends is answered with a clear error, and never with a 500."""

import base64
import json

import pytest
from django.contrib import admin
from django.db import transaction
from django.urls import reverse

from accounts.models import User, WorkItem
from contextmcp.backoffice.actions.registry import ACTIONS
from contextmcp.common.clock import now

pytestmark = pytest.mark.django_db
NESTED = "[" * 2000
DIGITS = "9" * 5000
VALUES = ["\0", "9" * 40, DIGITS, NESTED]


def cursor(text):
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def shown(model):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@pytest.fixture
def root(client):
    client.force_login(User.objects.create_superuser("root@staff.example", "x"))
    client.raise_request_exception = False
    return client


def failures(answers):
    return [what for what, answer in answers if answer.status_code >= 500]


def alone(send, *arguments):
    """Send a request and roll back its changes, because a database error ends the transaction."""
    with transaction.atomic():
        answer = send(*arguments)
        transaction.set_rollback(True)
    return answer


def test_a_malformed_position_of_a_list_is_refused(root):
    answers, url = [], "/admin/accounts/organization/"
    for text in [*VALUES, "[null,null]", "[null]", '[{"a":1}]', json.dumps([10**30]), "[1e999]", '["\\u0000"]', json.dumps([DIGITS])]:
        for position in (text, cursor(text)):
            answers += [((name, text[:60]), root.get(url, {name: position})) for name in ("after", "before")]
    assert not failures(answers)


# With a transaction around the request, an error of the database would make the page of the error fail as well.
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("light")
def test_malformed_filters_of_lists_are_refused(root):
    answers = []
    for model, page in admin.site._registry.items():
        parameters = dict.fromkeys(["q", "o", "id__exact", "organization__id__exact"], "9")
        names = [each if isinstance(each, str) else getattr(each, "parameter_name", "x") for each in page.list_filter]
        for value in ("\0", DIGITS):
            answers += [((shown(model), name, value[:9]), root.get(shown(model), {name: value})) for name in [*parameters, *names]]
    assert not failures(answers)


@pytest.mark.usefixtures("light")
def test_malformed_selections_of_actions_are_refused(root):
    answers = []
    for model, page in admin.site._registry.items():
        for action in (page.actions or ())[:1]:
            for value in ("\0", DIGITS, "x"):
                form = {"action": action, "_selected_action": value, "confirmed": "1", "reason": "x", "index": value}
                answers.append(((shown(model), action, value[:9]), alone(root.post, shown(model), form)))
    assert not failures(answers)


FORMS = {
    "grant-plan": {"source": "gift", "plan": "pro"},
    "override-limit": {"feature": "requests"},
    "correct-usage": {"feature": "requests", "change": "add", "amount": "1"},
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.usefixtures("light")
def test_a_malformed_field_of_an_action_is_shown_in_its_form(root, owner, name):
    url, answers = ACTIONS[name].url(owner.organization), []
    for field in ACTIONS[name].form(organization=owner.organization).fields:
        for value in [*VALUES, "9999-12-31", "NaN", "1e999"]:
            answers.append(((field, value[:40]), root.post(url, {"reason": "x", **FORMS[name], field: value})))
    assert [(what, answer.status_code) for what, answer in answers if answer.status_code != 200] == []


def test_the_admins_form_of_overrides_refuses_malformed_values(root, owner):
    for value in (NESTED, DIGITS):
        form = {"organization": str(owner.organization.pk), "feature": "requests", "value": value, "reason": "x"}
        assert root.post("/admin/entitlements/override/add/", form).status_code == 200


@pytest.mark.parametrize("name", ["credit", "refund", "discount", "free-days", "cancel"])
def test_a_confirmation_without_a_customer_is_refused(root, owner, name, stripe_world):
    form = {"confirmed": "1", "reason": "x", "direction": "add", "amount": "1", "days": "1", "when": "now"}
    for submission in ("", "019ade00-0000-7000-8000-000000000001"):
        assert root.post(ACTIONS[name].url(owner.organization), form | {"submission": submission}).status_code == 200


def test_malformed_dates_of_the_staffs_pages_are_shown_in_their_forms(root, owner):
    timeline, answers = reverse("backoffice:timeline", args=[owner.organization.pk]), []
    for value in ("9999-12-31", "0001-01-01"):
        answers += [((name, value), root.get(timeline, {name: value})) for name in ("since", "until")]
        answers += [((name, value), root.get("/admin/", {name: value})) for name in ("first", "last")]
    assert [(what, answer.status_code) for what, answer in answers if answer.status_code != 200] == []


def test_malformed_input_of_the_customers_activity_is_refused(client, owner):
    client.force_login(owner.user)
    client.raise_request_exception = False
    answers = []
    for name in ("since", "until"):
        answers += [((name, value), client.get("/account/activity/", {name: value})) for value in ("9999-12-31", "0001-01-01")]
    for text in [
        *VALUES,
        f"2026-01-01T00:00:00+00:00|1|{DIGITS}",
        "2026-01-01T00:00:00+00:00|1|" + "9" * 40,
        "2026-01-01T00:00:00+00:00|2|x",
        "0001-01-01T00:00:00+14:00|1|1",
        "9999-12-31T23:59:59-14:00|1|1",
        "9999-12-31T23:59:59-14:00|2|1",
        "9999-12-31T23:59:59-14:00|99|",
    ]:
        answers += [((text[:60],), alone(client.get, "/account/activity/", {"before": each})) for each in (text, cursor(text))]
    for name in ("kind", "code", "key", "member"):
        answers += [((name, value[:40]), client.get("/account/activity/", {name: value})) for value in VALUES]
    assert not failures(answers)


def test_a_malformed_owner_of_a_work_item_is_refused(root, acme):
    item = WorkItem.objects.create(
        kind="drift", object_id="1", title="x", detail="x", organization=acme, first_seen_at=now(), last_seen_at=now(), priority=1
    )
    for value in [*VALUES, "٣"]:
        form = {"action": "assign", "_selected_action": item.pk, "confirmed": "1", "reason": "x", "owner": value}
        assert root.post("/admin/accounts/workitem/", form).status_code == 302
    item.refresh_from_db()
    assert item.owner is None
