"""The flow that all staff actions share: permission, form, preview, confirmation, and one execution."""

import threading
import time

import pytest
from django.db import connection
from django.urls import reverse

from accounts.models import AuditEvent
from contextmcp.backoffice.actions.registry import ACTIONS, available_actions
from contextmcp.backoffice.actions.run_once import run_once
from contextmcp.common.errors import Conflict, IdempotencyConflict
from contextmcp.common.ids import uuid7
from contextmcp.common.models import IdempotencyRecord
from entitlements.models import Grant, Override
from tests.support.staff_actions import REASON, errors, message, rows

pytestmark = pytest.mark.django_db
OVERRIDE = {"feature": "projects", "value": "7", "no_end": "on"}


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_an_action_requires_its_permission_for_get_and_post(name, acme, staff_with):
    other = "accounts.close_organization" if ACTIONS[name].permission != "accounts.close_organization" else "entitlements.add_grant"
    staff = staff_with(other)
    assert staff.open(acme, name).status_code == 403
    assert staff.preview(acme, name).status_code == 403
    assert staff.confirm(acme, name, {"confirmed": "1", "reason": REASON}).status_code == 403
    assert not staff.events()
    assert staff_with(ACTIONS[name].permission).open(acme, name).status_code == 200


def test_customers_and_visitors_do_not_reach_actions(acme, owner, client):
    url = reverse("backoffice:action", args=[acme.pk, "close"])
    assert client.get(url).url.startswith("/admin/login/")
    client.force_login(owner.user)
    assert client.post(url, {"confirmed": "1", "reason": "x"}).status_code == 302
    acme.refresh_from_db()
    assert acme.closed_at is None


def test_unknown_actions_and_organizations_are_not_found(acme, staff_with):
    staff = staff_with("entitlements.add_grant")
    assert staff.open(acme, "unknown").status_code == 404
    assert staff.client.get(reverse("backoffice:action", args=[uuid7(), "grant-plan"])).status_code == 404


def test_the_links_are_those_of_the_permissions(acme, staff_with, rf, django_assert_max_num_queries):
    request = rf.get("/")
    request.user = staff_with("entitlements.add_override").user
    with django_assert_max_num_queries(6):
        links = available_actions(request, acme)
    assert [(each.title, each.disabled_reason) for each in links] == [
        ("Override a limit", ""),
        ("End an override", "No override is active."),
    ]
    assert links[0].url == reverse("backoffice:action", args=[acme.pk, "override-limit"])


def test_query_parameters_are_initial_values(acme, staff_with):
    page = staff_with("entitlements.add_override").open(acme, "override-limit", feature="sessions", value="9")
    assert (page.context["form"]["feature"].value(), page.context["form"]["value"].value()) == ("sessions", "9")


def test_a_preview_changes_nothing_and_names_the_organization(acme, staff_with):
    staff = staff_with("entitlements.add_override")
    page = staff.preview(acme, "override-limit", **OVERRIDE)
    assert rows(page)["Projects"] == ("1", "7")
    assert "Override a limit: Acme" in page.text
    assert not Override.objects.exists() and not staff.events()


def test_the_form_can_be_edited_after_the_preview(acme, staff_with):
    staff = staff_with("entitlements.add_override")
    form = staff.confirmation(acme, "override-limit", **OVERRIDE)
    del form["confirmed"]
    page = staff.confirm(acme, "override-limit", form | {"edit": "1"})
    assert "preview" not in page.context and page.context["form"]["value"].value() == "7"
    assert page.context["form"]["no_end"].value() is True


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_reason_is_required(acme, staff_with, reason):
    page = staff_with("entitlements.add_override").preview(acme, "override-limit", **OVERRIDE, reason=reason)
    assert "Enter a reason." in page.text
    assert "preview" not in page.context


def test_a_confirmed_form_that_is_submitted_twice_acts_once(acme, staff_with):
    staff = staff_with("entitlements.add_override")
    form = staff.confirmation(acme, "override-limit", **OVERRIDE)
    first, second = (staff.confirm(acme, "override-limit", form) for _ in range(2))
    assert [first.status_code, second.status_code] == [302, 302]
    assert message(second) == message(first) == "Projects was overridden until further notice."
    assert Override.objects.count() == 1
    staff.only_event("override.created")


def test_a_double_submission_of_a_closing_is_no_error(acme, staff_with):
    staff = staff_with("accounts.close_organization")
    form = staff.confirmation(acme, "close")
    assert [staff.confirm(acme, "close", form).status_code for _ in range(2)] == [302, 302]
    staff.only_event("organization.closed")


def test_a_submission_with_other_values_is_previewed_again(acme, staff_with):
    staff = staff_with("entitlements.add_override")
    form = staff.confirmation(acme, "override-limit", **OVERRIDE)
    staff.confirm(acme, "override-limit", form)
    page = staff.confirm(acme, "override-limit", form | {"value": "8"})
    assert "already submitted with other values" in page.text
    assert Override.objects.get().value == 7


def test_a_change_since_the_preview_shows_the_new_preview(acme, staff_with):
    staff = staff_with("entitlements.add_override", "entitlements.add_grant")
    form = staff.confirmation(acme, "override-limit", **OVERRIDE)
    staff.act(acme, "grant-plan", plan="pro", source="gift", no_end="on")
    page = staff.confirm(acme, "override-limit", form)
    assert "changed since this preview" in page.text
    assert rows(page)["Projects"] == ("10", "7")
    assert not Override.objects.exists()


def test_an_action_that_became_unavailable_is_refused(acme, staff_with):
    staff = staff_with("entitlements.add_grant", "accounts.close_organization")
    form = staff.confirmation(acme, "grant-plan", plan="pro", source="gift", no_end="on")
    staff.act(acme, "close")
    assert errors(staff.confirm(acme, "grant-plan", form))[1] == "The organization is closed."
    assert errors(staff.open(acme, "grant-plan"))[0] == "The organization is closed."
    assert not Grant.objects.exists()


def test_a_sensitive_action_requires_a_recent_authentication(acme, staff_with):
    staff = staff_with("accounts.close_organization")
    session = staff.client.session
    session["signed_in_at"] = time.time() - 3600
    session.save()
    for answer in (staff.open(acme, "close"), staff.confirm(acme, "close", {"confirmed": "1", "reason": REASON})):
        assert answer.status_code == 302 and "reauthenticate" in answer.url
    acme.refresh_from_db()
    assert acme.closed_at is None


def test_a_result_is_not_stored_if_the_work_fails(acme, staff_with):
    user, submission = staff_with().user, uuid7()

    def refused():
        raise Conflict

    with pytest.raises(Conflict):
        run_once(user, submission, [], refused, subject="1", atomic=True)
    assert run_once(user, submission, [], lambda: "done", subject="1", atomic=True) == "done"
    assert run_once(user, submission, [], refused, subject="1", atomic=True) == "done"
    with pytest.raises(IdempotencyConflict):
        run_once(user, submission, ["other"], refused, subject="1", atomic=True)
    assert IdempotencyRecord.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_submissions_act_once(acme, staff_with):
    staff = staff_with("entitlements.add_override")
    form = staff.confirmation(acme, "override-limit", **OVERRIDE)
    answers = []

    def submit():
        try:
            answers.append(staff.confirm(acme, "override-limit", form).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [302] * 4
    assert AuditEvent.objects.filter(action="override.created").count() == 1
