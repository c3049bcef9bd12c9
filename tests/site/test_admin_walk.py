"""Every admin page and action, walked as everybody: each role does what its rights name, and nothing answers 500."""

from uuid import UUID

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.models import AuditEvent, User
from contextmcp.common.admin_base import ReadOnly
from contextmcp.site.roles import ROLES
from tests.factories.accounts import UserFactory

pytestmark = pytest.mark.django_db
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
OURS = {"accounts", "entitlements", "usage", "billing", "djstripe", "common", "account", "mfa", "procrastinate"}
WHO = ["anonymous", "customer", "nobody", "looker", *ROLES, "owner"]


def client_of(who, owner):
    client = Client()
    if who == "customer":
        client.force_login(owner.user)
    elif who == "owner":
        client.force_login(User.objects.create_superuser("owner@staff.example", "x"))
    elif who != "anonymous":
        user = UserFactory(email=f"{who}@staff.example", is_staff=True)
        if who == "looker":
            user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
        elif who != "nobody":
            user.groups.add(Group.objects.get(name=who))
        client.force_login(user)
    return client


def may_enter(who):
    return who not in {"anonymous", "customer"}


def may_look(who):
    return may_enter(who) and who != "nobody"


def actions_of(who, model):
    """Which actions the pages offer to this member of staff."""
    request = RequestFactory().get("/admin/")
    request.user = User.objects.get(email=f"{who}@staff.example")
    return set(admin.site._registry[model].get_actions(request))


def test_only_pages_of_our_own_are_registered():
    assert {model._meta.app_label for model in MODELS} == OURS
    for model in MODELS:
        assert type(admin.site._registry[model]).__module__.split(".")[0] in {"accounts", "entitlements", "usage", "billing", "contextmcp"}


@pytest.mark.parametrize("who", WHO)
def test_every_page_opens_only_for_who_may(who, owner, member, client):
    client = client_of(who, owner)
    for model in MODELS:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row = model.objects.order_by().first()
        key = row.pk if row is not None else str(UUID(int=0)) if model._meta.pk.get_internal_type() == "UUIDField" else "1"
        for page in (reverse(f"{name}_changelist"), reverse(f"{name}_changelist") + "?q=a", reverse(f"{name}_change", args=[key])):
            answer = client.get(page)
            if not may_enter(who):
                assert (answer.status_code, answer.url.startswith("/admin/login/")) == (302, True), page
            elif not may_look(who):
                assert answer.status_code == 403, page
            else:
                assert answer.status_code in ({200} if row is not None or "change/" not in page else {302}), page
        for page in (
            reverse(f"{name}_add"),
            reverse(f"{name}_delete", args=[key]),
            reverse(f"{name}_history", args=[key]),
        ):
            assert client.get(page).status_code in {200, 302, 403}, page
        deleted = client.post(reverse(f"{name}_delete", args=[key]), {"post": "yes"})
        assert deleted.status_code in {302, 403}, name
        assert row is None or model.objects.filter(pk=row.pk).exists()
        added = client.get(reverse(f"{name}_add"))
        allowed = who == "owner" or (who in ROLES and f"{model._meta.app_label}.add_{model._meta.model_name}" in ROLES[who])
        read_only = isinstance(admin.site._registry[model], ReadOnly)
        if may_enter(who) and (read_only or not allowed):
            assert added.status_code == 403, name


@pytest.mark.parametrize("who", ["nobody", "looker", "viewer"])
def test_who_only_looks_has_no_action_and_no_form(who, owner):
    client = client_of(who, owner)
    before = AuditEvent.objects.count()
    for model in MODELS:
        assert actions_of(who, model) == set(), model
        listing = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        row = model.objects.order_by().first()
        for action in admin.site._registry[model].actions or ():
            given = {"action": action, "_selected_action": [row.pk if row else "1"], "confirmed": "1", "reason": "x"}
            assert client.post(listing, given).status_code in {200, 302, 400, 403}, action
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize("who", [*ROLES, "owner"])
def test_a_role_has_the_actions_that_its_rights_name(who, owner):
    client_of(who, owner)
    offered = {f"{model._meta.model_name}.{action}" for model in MODELS for action in actions_of(who, model)}
    support = {
        "user.send_password_reset",
        "user.reset_second_factor",
        "emailaddress.verify",
        "organization.close",
        "membership.remove",
        "apikey.revoke",
        "outgoingemail.retry",
    }
    entitle = {"grant.end_now", "override.end_now"}
    operate = {"billingaccount.sync", "billingaccount.reconcile", "subscriptionstate.sync", "subscriptionstate.move"}
    jobs = {"procrastinatejob.retry", "procrastinatejob.cancel"}
    expected = {
        "viewer": set(),
        "support": support | entitle,
        "finance": operate | entitle,
        "engineer": operate | jobs | {"webhookevent.replay"},
        "owner": support | entitle | operate | jobs | {"webhookevent.replay", "servicekey.rotate", "servicekey.revoke"},
    }
    assert offered == expected[who]


@pytest.mark.parametrize("who", ["nobody", "looker", *ROLES, "owner"])
def test_the_first_page_shows_only_what_one_may_look_at(who, owner):
    page = client_of(who, owner).get("/admin/")
    assert page.status_code == 200
    assert bool(page.context["figures"]) == may_look(who)
    assert ("Acme" in page.text) == may_look(who)
    assert ("Newest organizations" in page.text, "What happened last" in page.text) == (may_look(who), may_look(who))


@pytest.mark.parametrize("who", WHO)
def test_the_other_addresses_of_the_admin_answer_without_a_fault(who, owner):
    client = client_of(who, owner)
    for path in ("jsi18n/", "search/?s=acme", "password_change/", "autocomplete/", "r/1/1/", "app/", "accounts/"):
        assert client.get(f"/admin/{path}").status_code < 500, path
    if who == "nobody":
        assert "Acme" not in client.get("/admin/search/?s=acme").text
