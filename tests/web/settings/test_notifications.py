"""Members choose which emails about their organization they get, and the senders honor it."""

import re

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.urls import reverse

from accounts import notifications
from accounts.manager import AuthManager
from accounts.models import AuditEvent, NotificationChoice
from billing.models import BillingNotification
from billing.notifications import deliver
from billing.notifications.topics import PLAN, RECEIPTS
from contextmcp.common import delivery
from contextmcp.common.emails import EmailContent, send_email
from contextmcp.common.models import OutgoingEmail
from contextmcp.web.notification_topics import TOPICS
from tests.factories.accounts import UserFactory
from tests.support.stripe import jobs, run
from usage.alerts.evaluate import evaluate_alerts
from usage.tracker import UsageTracker
from usage.webhooks import endpoint_health
from usage.webhooks.manager import WebhookManager

pytestmark = pytest.mark.django_db
PAGE = "/account/settings/notifications/"
# The topics that each role may choose, with those that are on by default.
OFFERED = {
    "owner": {"usage_warnings": 1, "usage_spikes": 1, "billing": 1, "receipts": 0, "members": 1, "webhooks": 1},
    "admin": {"usage_warnings": 1, "usage_spikes": 1, "billing": 0, "receipts": 0, "members": 1},
    "member": {"usage_warnings": 0, "usage_spikes": 0},
    "viewer": {"usage_warnings": 0, "usage_spikes": 0},
}


def boxes(page: str) -> dict[str, bool]:
    found = re.findall(r'<input type="checkbox" name="topics" value="(\w+)"[^>]*?( checked)?>', page)
    return {name: bool(checked) for name, checked in found}


def choose(person, *names: str) -> None:
    notifications.choose_topics(person.caller, TOPICS, names)


def sent_to() -> list[str]:
    recipients = sorted(email.to[0] for email in mail.outbox)
    mail.outbox.clear()
    return recipients


def test_each_role_chooses_what_it_may_get(people, sign_in):
    for role, offered in OFFERED.items():
        client = sign_in(people[role])
        page = client.get(PAGE).text
        assert boxes(page) == {name: bool(on) for name, on in offered.items()}, role
        assert "can't be turned off" in page
        everything = [topic.name for topic in TOPICS]
        assert "Your choices were saved." in client.post(reverse("save-notifications"), {"topics": everything}, follow=True).text
        assert boxes(client.get(PAGE).text) == dict.fromkeys(offered, True), role
        client.post(reverse("save-notifications"), {})
        assert boxes(client.get(PAGE).text) == dict.fromkeys(offered, False), role
    assert NotificationChoice.objects.filter(membership=people["member"].membership).count() == 2
    assert AuditEvent.objects.filter(action="member.notifications_changed").count() == 8


def test_an_unknown_topic_is_refused(owner, sign_in):
    client = sign_in(owner)
    assert "note error" in client.post(reverse("save-notifications"), {"topics": ["everything"]}, follow=True).text
    assert not NotificationChoice.objects.exists()


def test_choices_of_the_same_value_are_recorded_once(owner):
    choose(owner, "usage_spikes")
    choose(owner, "usage_spikes")
    assert AuditEvent.objects.filter(action="member.notifications_changed").count() == 1


def test_usage_emails_follow_the_choices(acme, owner, admin, member):
    choose(owner, "usage_spikes")
    choose(member, "usage_warnings")
    UsageTracker(acme).consume("sessions", 40)
    evaluate_alerts()
    waiting = jobs("usage.send_alert_email")
    choose(admin)
    for _, name, arguments in waiting:
        run(name, **arguments)
    email = mail.outbox[0]
    assert sent_to() == ["member@acme.example"]
    address = f"http://localhost:3001{PAGE}?organization={acme.pk}"
    assert email.extra_headers["List-Unsubscribe"] == f"<{address}>"
    assert address in email.body and address in email.alternatives[0][0]


def test_billing_emails_reach_the_billing_address_and_those_who_chose_them(acme, owner, admin, member):
    acme.email = "accounting@acme.example"
    acme.save()
    choose(admin, "receipts")
    choose(member, "receipts", "billing")
    content = EmailContent(title="Something", paragraphs=("Text",), note="For the billing address.")
    expected = {PLAN: ["owner@acme.example"], RECEIPTS: ["admin@acme.example"]}
    for kind, topic in {"dunning_started": PLAN, "receipt": RECEIPTS}.items():
        row = BillingNotification.objects.create(organization=acme, kind=kind, object_id=kind, transition="x")
        assert deliver.recipients_of(row) == ["accounting@acme.example", *expected[topic]]
        for address in deliver.recipients_of(row):
            deliver.send_content(row, content, address)
        first, copy = mail.outbox
        assert "List-Unsubscribe" not in first.extra_headers and "For the billing address." in first.body
        assert "List-Unsubscribe" in copy.extra_headers and "as a member of Acme" in copy.body
        assert len(sent_to()) == 2


def test_the_billing_address_gets_one_email_if_it_is_an_owners(acme, owner):
    assert acme.email == owner.user.email
    row = BillingNotification(organization=acme, kind="dunning_started", object_id="x", transition="x")
    assert deliver.recipients_of(row) == [owner.user.email]


def test_disabled_endpoints_are_reported_to_owners_who_want_it(acme, owner):
    endpoint, _ = WebhookManager(acme).add(owner.caller, "https://hooks.acme.example/")
    assert endpoint_health.is_recipient(endpoint, owner.user.email)
    choose(owner)
    assert not endpoint_health.is_recipient(endpoint, owner.user.email)
    endpoint_health.disable(endpoint, "It failed.")
    assert sent_to() == []


def test_a_member_who_joins_is_reported(acme, owner, admin, member, settings):
    settings.SEAT_LIMIT = "tests.support.seats.unlimited"
    choose(admin)
    for role, expected in {"viewer": ["owner@acme.example"], "admin": ["owner@acme.example"]}.items():
        grace = UserFactory(email=f"{role}@new.example")
        AuthManager(acme).invite(owner.caller, grace.email, role)
        token = re.search(r"/invitations/([\w-]{43})/", mail.outbox[-1].body)[1]
        mail.outbox.clear()
        AuthManager.accept_invitation(token, grace, None)
        titles = [email.subject for email in mail.outbox]
        # A new admin is reported to owners even if they turned off emails about members.
        assert titles == [f"{grace.email} joined “Acme”" if role == "viewer" else f"{grace.email} now has the role “Admin” in “Acme”"]
        assert sent_to() == expected


def test_emails_about_security_have_no_link_to_turn_them_off(owner, client):
    client.post("/accounts/password/reset/", {"email": owner.user.email})
    assert EmailAddress.objects.filter(email=owner.user.email, verified=True).exists()
    (email,) = mail.outbox
    assert "List-Unsubscribe" not in email.extra_headers and PAGE not in email.body


def test_the_header_survives_the_queue(settings, acme):
    settings.EMAIL_BACKEND = "contextmcp.common.emails.QueueBackend"
    settings.EMAIL_DELIVERY_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    content = notifications.optional(EmailContent(title="A", paragraphs=("B",)), acme.pk)
    send_email(content, to="a@b.example", category="x")
    delivery.deliver_due()
    assert OutgoingEmail.objects.get().state == OutgoingEmail.State.SENT
    assert mail.outbox[0].message()["List-Unsubscribe"] == f"<{notifications.settings_url(acme.pk)}>"


def test_the_link_of_another_organization_offers_to_switch(owner, stranger, sign_in):
    other = AuthManager.create_organization(owner.user, "Second")
    client = sign_in(owner)
    page = client.get(f"{PAGE}?organization={other.pk}").text
    assert "These are your choices for Acme." in page
    switched = client.post(reverse("switch-organization"), {"organization": str(other.pk), "next": PAGE}, follow=True)
    assert switched.request["PATH_INFO"] == PAGE and "emails about Second" in switched.text
    for foreign in (stranger.organization.pk, "nonsense"):
        page = client.get(f"{PAGE}?organization={foreign}").text
        assert "Switch to" not in page and "Elsewhere" not in page
    assert client.post(reverse("switch-organization"), {"next": "//evil.example/"}).url == reverse("account")
