"""Every action of the audit log has a sentence, and the sentences read well for staff and for customers."""

import re
from uuid import uuid4

import pytest

from accounts import audit
from accounts.models import AuditEvent, ServiceKey, User
from contextmcp.web.activity import timeline
from contextmcp.web.activity.sentences import registry
from contextmcp.web.activity.types import Kind
from tests.factories.accounts import UserFactory
from tests.web.activity.recorded_actions import files_that_insert, recorded_actions

pytestmark = pytest.mark.django_db


@pytest.fixture
def support(db):
    from django.contrib.auth.models import Group

    user = UserFactory(name="Jane Doe", email="jane@staff.example", is_staff=True)
    user.groups.add(Group.objects.get(name="support"))
    return user


def first(organization, audience="staff", **filters):
    return timeline(organization, audience=audience, **filters).entries[0]


def read(organization, actor, action, audience="staff", **fields):
    """Record an action and return its sentence."""
    audit.record(action, organization=organization, actor=actor, **fields)
    return first(organization, audience).sentence


def test_every_action_that_the_code_records_has_a_sentence():
    actions = recorded_actions()
    assert {"key.created", "usage.corrected", "usage.hold_ended", "billing.cancel", "billing.finalize_invoice", "user.signed_in"} <= set(
        actions
    )
    missing = {action: place for action, place in actions.items() if registry.find(action) is None}
    assert missing == {}, "Add a sentence in contextmcp/web/activity/sentences and decide whether customers see it."


def test_only_the_known_statement_writes_events_with_sql():
    # Its actions are those of `AuditEntry`, which the test above collects.
    assert files_that_insert() == {"usage/store/sql.py"}


def every_entry(organization, audience):
    """Return the entries of all pages."""
    page = timeline(organization, audience=audience, limit=200)
    entries = page.entries
    while page.next_cursor:
        page = timeline(organization, audience=audience, limit=200, before=page.next_cursor)
        entries += page.entries
    return entries


def test_every_sentence_can_be_rendered_without_details(acme, support):
    actions = registry.matching_actions("")
    for action in actions:
        for actor in (None, support):
            audit.record(action, organization=acme, actor=actor, target="X")
    shown = [action for action in actions if registry.find(action).shown]
    for audience, expected in (("staff", actions), ("customer", shown)):
        entries = every_entry(acme, audience)
        sentences = [entry.sentence for entry in entries if not entry.internal]
        assert (len(entries) >= 2 * len(expected), len(sentences) >= 2 * len(shown)) == (True, True)
        assert [each for each in sentences if not re.fullmatch(r"[A-Z“$€0-9].*[.”]", each)] == []


SENTENCES = [
    (
        "organization.changed",
        {"before": {"name": "A", "email": "a@x.example"}, "after": {"name": "B", "email": "a@x.example"}},
        "{by} changed the organization's name from A to B.",
    ),
    (
        "organization.closed",
        {"after": {"keys": 2, "apps": 0, "invitations": 1}},
        "{by} closed the organization, which ended 2 API keys and 1 invitation.",
    ),
    (
        "member.role_changed",
        {"target": "kim@x.example", "before": {"role": "viewer"}, "after": {"role": "admin"}},
        "{by} changed kim@x.example from a viewer to an admin.",
    ),
    ("member.removed", {"target": "kim@x.example", "before": {"role": "viewer"}}, "{by} removed the member kim@x.example."),
    ("invitation.created", {"target": "kim@x.example", "after": {"role": "member"}}, "{by} invited kim@x.example as a member."),
    ("invitation.revoked", {"target": "kim@x.example"}, "{by} revoked the invitation to kim@x.example."),
    (
        "invitation.resent",
        {"target": "kim@x.example", "after": {"expires_at": "2026-05-03T10:00:00+00:00"}},
        "{by} resent the invitation to kim@x.example, valid until May 3, 2026.",
    ),
    ("key.created", {"target": uuid4(), "after": {"name": "CI", "expires_at": None}}, "{by} created the API key CI."),
    ("key.revoked", {"target": uuid4(), "before": {"name": "CI"}}, "{by} revoked the API key CI."),
    ("app.connected", {"target": "Claude", "after": {"grant": str(uuid4())}}, "{by} connected the app Claude."),
    ("app.disconnected", {"target": "Claude", "before": {"user": "kim@x.example"}}, "{by} disconnected the app Claude of kim@x.example."),
    (
        "webhook_endpoint.created",
        {"target": uuid4(), "after": {"url": "https://x.example/hook"}},
        "{by} created the webhook endpoint https://x.example/hook.",
    ),
    (
        "grant.created",
        {"target": "grant:1", "after": {"plan": "pro v1", "source": "gift", "ends_at": "2026-05-03T10:00:00+00:00"}},
        "{by} granted the {pro} plan for free until May 3, 2026.",
    ),
    ("grant.ended", {"target": "grant:1", "after": {"plan": "pro v1", "source": "gift"}}, "{by} ended the {pro} plan."),
    (
        "override.created",
        {"target": "sessions", "after": {"value": 5000, "ends_at": "2026-05-03T10:00:00+00:00"}},
        "{by} set the limit of sessions to 5,000 until May 3, 2026.",
    ),
    ("override.created", {"target": "sessions", "after": {"value": None}}, "{by} set Sessions to unlimited."),
    ("billing.change_plan", {"after": {"plan": "pro", "interval": "year", "when": "now"}}, "{by} changed to the Pro plan, billed yearly."),
    ("billing.cancel", {"after": {"at_once": False}}, "{by} canceled the subscription, effective at the end of the period."),
    ("billing.pause_payments", {"after": {"resumes_at": 1_777_806_000}}, "{by} paused the payments until May 3, 2026."),
    (
        "billing.set_overage",
        {"after": {"feature": "sessions", "enabled": True, "cap_minor": 2550, "currency": "usd"}},
        "{by} turned on Pay-as-you-go for sessions, up to $25.50 a month.",
    ),
    ("usage.corrected", {"after": {"sessions": -5}}, "{by} reduced the counted usage by 5 sessions."),
    ("usage.credited", {"after": {"sessions": 1}}, "{by} credited 1 session in this period."),
    (
        "billing.free_days",
        {"after": {"days": 14, "next_payment_at": "2026-05-03T10:00:00+00:00"}},
        "{by} added 14 free days; the next payment is on May 3, 2026.",
    ),
    (
        "billing.discount",
        {"after": {"percent_off": 20, "duration": "repeating", "months": 3}},
        "{by} added a discount of 20% for 3 months.",
    ),
    ("billing.credit", {"after": {"added": 500, "currency": "usd"}}, "{by} added a credit of $5.00 for the next invoices."),
    ("impersonation.started", {"target": "kim@x.example"}, "{by} started viewing the account as kim@x.example."),
]


@pytest.mark.parametrize(
    ("action", "fields", "expected"), SENTENCES, ids=[f"{action}-{number}" for number, (action, *_) in enumerate(SENTENCES)]
)
def test_the_sentence_of_an_action(acme, owner, action, fields, expected):
    assert read(acme, owner.caller, action, **fields) == expected.format(by="Olga Owner", pro="Pro v1")
    assert first(acme, "customer").sentence == expected.format(by="Olga Owner", pro="Pro")


def test_staff_read_the_role_and_the_reason_of_colleagues(acme, support):
    after = {"plan": "pro v1", "source": "gift", "ends_at": "2026-05-03T10:00:00+00:00"}
    text = read(acme, support, "grant.created", target="grant:1", after=after, reason="outage on 3 May")
    assert text == "Jane Doe (support) granted the Pro v1 plan for free until May 3, 2026: “outage on 3 May”"


def test_customers_read_neither_the_name_nor_the_reason_of_staff(acme, support, settings):
    settings.PRODUCT_NAME = "Lingo"
    after = {"plan": "pro v1", "source": "gift", "ends_at": "2026-05-03T10:00:00+00:00"}
    text = read(acme, support, "grant.created", "customer", target="grant:1", after=after, reason="outage on 3 May")
    assert text == "Support of Lingo granted the Pro plan for free until May 3, 2026."
    # Also after the colleague left.
    User.objects.update(is_staff=False)
    assert first(acme, "customer").actor == "Support of Lingo"


def test_members_who_left_keep_their_names(acme, owner, member, support):
    from accounts.manager import AuthManager

    audit.record("invitation.accepted", organization=acme, actor=member.user, target=member.user.email, after={"role": "member"})
    acme.invitations.create(email=member.user.email, token_digest=b"1", expires_at="2026-01-01T00:00Z", accepted_by=member.user)
    audit.record("key.revoked", organization=acme, actor=member.user, before={"name": "CI"})
    AuthManager(acme).remove_member(owner.caller, member.membership.pk)
    entries = timeline(acme, audience="customer").entries
    assert entries[1].sentence == f"{member.user.name} revoked the API key CI."


def test_an_unknown_action_is_readable_for_staff_and_hidden_from_customers(acme, support):
    text = read(acme, support, "moon_base.landed_on", target="crater 7", reason="why not")
    assert text == "Moon base landed on by Jane Doe (support) (crater 7): “why not”"
    assert first(acme).internal
    assert "oon" not in first(acme, "customer").sentence


def test_a_service_key_is_named_for_staff_only(acme, settings):
    from tests.factories.service_keys import service_key

    settings.PRODUCT_NAME = "Lingo"
    service_key()
    key = ServiceKey.objects.get()
    AuditEvent.objects.create(organization=acme, action="usage.credited", after={"sessions": 3}, actor_service_key_id=key.pk)
    assert first(acme).sentence == f"The service key {key.name} credited 3 sessions in this period."
    assert first(acme, "customer").sentence == "Lingo credited 3 sessions in this period."


def test_the_reason_why_a_webhook_endpoint_was_disabled_is_shown_to_customers(acme):
    after = {"url": "https://x.example/hook", "enabled": False}
    text = read(acme, None, "webhook_endpoint.disabled", "customer", after=after, reason="The endpoint answered 410 Gone.")
    assert text == "The webhook endpoint https://x.example/hook was disabled: “The endpoint answered 410 Gone.”"


def test_an_entry_links_to_the_object_or_the_page(acme, owner):
    from accounts.manager import AuthManager

    key, _ = AuthManager(acme).generate_key(owner.caller, "CI")
    assert first(acme).link == f"/admin/accounts/apikey/{key.pk}/change/"
    assert first(acme).record.startswith("/admin/accounts/auditevent/")
    entry = first(acme, "customer")
    assert (entry.kind, entry.link, entry.record, entry.detail) == (Kind.KEY, "/account/keys/", "", "")


def test_pages_that_staff_viewed_are_named(acme, support):
    assert (
        read(acme, support, "staff.viewed", target=f"accounts.organization:{acme.pk}")
        == "Jane Doe (support) viewed the page of the organization."
    )
    assert read(acme, support, "staff.viewed", target="accounts.user:17") == "Jane Doe (support) viewed the page of the user 17."
    assert read(acme, support, "staff.viewed", target="something else") == "Jane Doe (support) viewed something else."


def test_only_staff_read_why_a_subscription_was_canceled(acme, owner):
    given = {"at_once": False, "feedback": "too_expensive", "comment": "Twice the price of last year"}
    staff = read(acme, owner.caller, "billing.cancel", after=given)
    assert staff.endswith("effective at the end of the period. Reason: too expensive. “Twice the price of last year”")
    assert read(acme, owner.caller, "billing.cancel", audience="customer", after=given).endswith("effective at the end of the period.")
