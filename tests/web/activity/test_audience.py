"""What customers and members read of an organization's history, and what they must not."""

from datetime import timedelta

import pytest

from accounts import audit
from accounts.models import AuditEvent
from accounts.types import Caller
from billing.models import Adjustment, BillingAction, Invoice
from contextmcp.common.clock import now
from contextmcp.common.emails import EmailContent, send_email
from contextmcp.common.models import OutgoingEmail
from contextmcp.web.activity import CUSTOMER_KINDS, KINDS, Kind, timeline
from contextmcp.web.activity.sentences import registry
from contextmcp.web.activity.visibility import restrictions, visible_kinds
from tests.factories.accounts import UserFactory
from tests.web.activity.rows import fill, insert_key
from usage.models import RefusalSummary

pytestmark = pytest.mark.django_db
SECRETS = (
    "SECRET-REASON",
    "jane@staff.example",
    "Jane Doe",
    "203.0.113.9",
    "req-77",
    "PaymentRequired",
    "/admin/",
    "due to fraud",
    "in_77",
)
# What customers read of the audit log. A new action is internal unless it is added here and registered as shown.
SHOWN = {
    "app.connected", "app.disconnected", "billing.cancel", "billing.cancel_scheduled_change", "billing.change_plan",
    "billing.checkout_started", "billing.move_version", "billing.resume", "billing.set_overage", "billing.withhold_trial", "grant.changed",
    "grant.created", "grant.ended", "impersonation.ended", "impersonation.started", "invitation.accepted", "invitation.created",
    "invitation.resent", "invitation.revoked", "key.created", "key.revoked", "key.rotated", "key.taken_over", "member.removed",
    "member.role_changed", "organization.changed", "organization.closed", "organization.created", "override.created", "override.ended",
    "usage.corrected", "usage.credited", "webhook_endpoint.changed", "webhook_endpoint.created", "webhook_endpoint.deleted",
    "webhook_endpoint.disabled", "webhook_endpoint.redelivered", "webhook_endpoint.secret_rotated", "webhook_endpoint.tested",
    "billing.credit", "billing.discount", "billing.end_discounts", "billing.free_days", "billing.pause_collection",
    "billing.pause_payments", "billing.resume_collection", "billing.resume_payments",
    "invitation.extended", "member.ownership_transferred", "organization.reopened", "key.all_revoked",
    "key.reassigned", "export.requested", "export.downloaded",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _queue(settings):
    settings.EMAIL_BACKEND = "contextmcp.common.emails.QueueBackend"


def entries(person, **filters):
    caller = person.caller
    return timeline(person.organization, audience="customer", kinds=visible_kinds(caller), **restrictions(caller), **filters).entries


def kinds(person):
    return {str(entry.kind) for entry in entries(person, limit=200)}


def test_customers_read_only_the_actions_that_were_decided_on():
    assert set(registry.shown_actions(KINDS)) == SHOWN
    assert not set(registry.shown_actions(frozenset({Kind.INTERNAL})))


def test_nothing_internal_reaches_a_customer(acme, owner):
    staff = UserFactory(name="Jane Doe", email="jane@staff.example", is_staff=True)
    for action in [*registry.matching_actions(""), "unknown.action"]:
        reason = "" if action == "webhook_endpoint.disabled" else "SECRET-REASON"
        AuditEvent.objects.create(
            organization=acme, actor_user=staff, action=action, target="T", reason=reason, ip_address="203.0.113.9", request_id="req-77",
            before={"reason": "SECRET-REASON"}, after={"reason": "SECRET-REASON", "differences": ["SECRET-REASON"]},
        )  # fmt: skip
    fill(acme, owner.user, 3)
    Adjustment.objects.create(
        organization=acme,
        kind="dispute",
        stripe_id="dp_1",
        status="lost",
        reason="due to fraud",
        amount=1,
        currency="usd",
        created_at=now(),
    )
    Adjustment.objects.create(
        organization=acme, kind="refund", stripe_id="re_77", status="succeeded", reason="due to fraud", amount=1, currency="usd",
        created_at=now(), stripe_invoice_id="in_77",
    )  # fmt: skip
    send_email(EmailContent("Receipt", ()), to="a@b.example", category="billing.receipt", organization_id=acme.pk)
    OutgoingEmail.objects.update(last_error="SECRET-REASON")
    # Even if a page asks for internal entries.
    shown = timeline(acme, audience="customer", kinds=KINDS, limit=200).entries
    assert len(shown) > len(SHOWN)
    for entry in shown:
        text = repr(entry)
        assert not entry.internal and entry.kind in CUSTOMER_KINDS
        assert not [secret for secret in SECRETS if secret in text], text
    staff_text = repr(timeline(acme, audience="staff", limit=200).entries)
    assert [secret for secret in SECRETS if secret not in staff_text] == ["jane@staff.example", "in_77"]


def test_each_member_sees_the_kinds_that_the_role_allows(acme, owner, admin, member, viewer):
    fill(acme, owner.user, 1)
    for action in SHOWN:
        audit.record(action, organization=acme, actor=owner.caller, target="X")
    everybody = {"plan", "usage", "organization", "support", "refusal"}
    assert kinds(viewer) == kinds(member) == everybody
    assert kinds(admin) == kinds(owner) == everybody | {"member", "webhook", "key", "app", "payment", "email"}


def test_members_see_their_own_keys_and_apps_and_admins_all(acme, owner, admin, member):
    for person in (owner, member):
        audit.record("key.revoked", organization=acme, actor=person.caller, before={"name": f"of {person.user.email}"})
        audit.record("app.connected", organization=acme, actor=person.caller, target=f"App of {person.user.email}")
    assert [entry.kind for entry in entries(member) if entry.actor == owner.user.name] == [Kind.ORGANIZATION]
    assert {entry.actor for entry in entries(member)} == {owner.user.name, member.user.name}
    assert len(entries(admin)) == 5


def test_the_name_of_a_key_is_hidden_from_members_who_may_not_see_it(acme, owner, member):
    key = insert_key(acme, owner.user, "Secret project")
    audit.record("organization.changed", organization=acme, actor=Caller.member(owner.membership, key), after={"name": "New"})
    assert "Secret project" not in repr(entries(member))
    assert entries(owner)[0].sentence.startswith("Olga Owner with the key Secret project changed")


def test_emails_are_listed_for_those_whom_they_concern(acme, owner, admin, member):
    for category in ("billing.receipt", "invitation", "usage.spike", "role_notice", "password_reset_key"):
        send_email(EmailContent(category, ()), to="a@b.example", category=category, organization_id=acme.pk)
    assert [entry for entry in entries(member) if entry.kind == Kind.EMAIL] == []
    for person in (owner, admin):
        subjects = {entry.sentence.split("“")[1].split("”")[0] for entry in entries(person) if entry.kind == Kind.EMAIL}
        assert subjects == {"billing.receipt", "invitation", "usage.spike", "role_notice"}
    assert len([entry for entry in timeline(acme, audience="staff").entries if entry.kind == Kind.EMAIL]) == 5


def test_the_filters_of_key_member_and_code(acme, owner, member):
    key = insert_key(acme, owner.user, "CI")
    audit.record("key.revoked", organization=acme, actor=member.caller, target=key.pk, before={"name": "CI"})
    audit.record("organization.changed", organization=acme, actor=Caller.member(owner.membership, key))
    audit.record("member.role_changed", organization=acme, actor=owner.caller, target=member.user.email)
    fill(acme, owner.user, 1)

    def actions(**filters):
        return timeline(acme, audience="staff", **filters).entries

    assert len(actions(key=key.pk)) == 2
    assert len(actions(member=member.user.pk)) == 2
    assert len(actions(code="role")) == 1
    assert len(actions(code="change_plan")) == 1
    assert actions(code="nothing like it") == []


def test_refusals_of_an_hour_are_one_sentence(acme, owner, member):
    key = insert_key(acme, owner.user, "CI")
    minute = now().replace(hour=10, minute=31, second=0, microsecond=0) - timedelta(days=1)
    rows = [
        ("quota_exceeded", "sessions", minute, 40, ""),
        ("quota_exceeded", "sessions", minute.replace(minute=2), 1, ""),
        ("tool_not_available", "", minute.replace(hour=9), 1, "search"),
        ("rate_limited", "", minute.replace(hour=8), 1200, ""),
        ("code_of_tomorrow", "", minute.replace(hour=7), 2, ""),
    ]
    RefusalSummary.objects.bulk_create(
        RefusalSummary(organization=acme, code=code, feature=feature, minute=at, count=count, tool=tool, key_id=key.pk)
        for code, feature, at, count, tool in rows
    )
    texts = [(entry.sentence, entry.detail) for entry in entries(owner, code="") if entry.kind == Kind.REFUSAL]
    assert texts == [
        ("Refused: monthly sessions used up, key “CI”, 41 times.", "quota_exceeded, 10:02 to 10:31 UTC"),
        ("Refused: MCP tool not in the plan, key “CI”, tool “search”, once.", "tool_not_available, 09:31 UTC"),
        ("Refused: too many requests per minute, key “CI”, 1,200 times.", "rate_limited, 08:31 UTC"),
        ("Refused: code of tomorrow, key “CI”, 2 times.", "code_of_tomorrow, 07:31 UTC"),
    ]
    # A member who may not see the key reads the reason without it.
    assert entries(member, code="quota")[0].sentence == "Refused: monthly sessions used up, 41 times."
    # One minute only, of one key.
    found = timeline(acme, audience="staff", since=minute, until=minute + timedelta(minutes=1), key=key.pk).entries
    assert [entry.sentence for entry in found] == ["Refused: monthly sessions used up, key “CI”, 40 times."]
    assert timeline(acme, audience="staff", member=member.user.pk, kinds=frozenset({Kind.REFUSAL})).entries == []
    assert len(timeline(acme, audience="staff", member=owner.user.pk, kinds=frozenset({Kind.REFUSAL})).entries) == 4


def test_money_reads_as_sentences(acme):
    present = now()
    amounts = {"subtotal": 900, "total": 900, "amount_due": 900, "currency": "usd", "created_at": present}
    paid = {"amount_paid": 900, "amount_remaining": 0, "status": "paid", "paid_at": present, "amount_refunded": 400}
    open_ = {"amount_paid": 0, "amount_remaining": 900, "status": "open", "failed_at": present - timedelta(1), "attempt_count": 2}
    Invoice.objects.create(organization=acme, stripe_invoice_id="in_1", number="A-1", **amounts, **paid)
    Invoice.objects.create(organization=acme, stripe_invoice_id="in_2", number="A-2", **amounts, **open_)
    adjustment = {"organization": acme, "amount": 400, "currency": "usd", "created_at": present, "stripe_invoice_id": "in_1"}
    Adjustment.objects.create(kind="refund", stripe_id="re_1", status="succeeded", reason="requested_by_customer", **adjustment)
    Adjustment.objects.create(kind="dispute", stripe_id="dp_1", status="needs_response", reason="fraudulent", **adjustment)
    Adjustment.objects.create(kind="credit_note", stripe_id="cn_1", status="issued", **adjustment)
    BillingAction.objects.create(organization=acme, kind="cancel", state="failed", error="superseded")
    kinds = frozenset({Kind.PAYMENT})
    assert {entry.sentence for entry in timeline(acme, audience="customer", kinds=kinds).entries} == {
        "Invoice A-1 was paid: $9.00. $4.00 was refunded later.",
        "Invoice A-2 of $9.00 was issued.",
        "The payment of $9.00 for invoice A-2 failed. There were 2 attempts.",
        "$4.00 of invoice A-1 was refunded.",
        "A credit note of $4.00 was issued for invoice A-1.",
    }
    assert {entry.sentence for entry in timeline(acme, audience="staff", kinds=kinds).entries} >= {
        "$4.00 of invoice A-1 was refunded (requested by customer).",
        "A dispute about $4.00 of invoice A-1 was opened (fraudulent). Its status is: needs response.",
    }
