"""Sending an email again: rendered again where that is safe, refused with the reason otherwise."""

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress

from accounts.emails import second_factor_removed_by_staff, send_role_notices, send_security_notice
from accounts.manager import AuthManager
from accounts.models import AuditEvent, Invitation, User
from billing.models import BillingNotification
from billing.notifications import content as billing_content
from billing.notifications import deliver
from contextmcp.common.clock import now
from contextmcp.common.emails import EmailContent, send_email
from contextmcp.common.models import OutgoingEmail
from tests.backoffice.test_saved_views import client_of
from tests.factories.accounts import UserFactory
from usage.models import UsageAlert, WebhookEndpoint
from usage.webhooks import endpoint_health

pytestmark = pytest.mark.django_db
LIST = "/admin/common/outgoingemail/"


@pytest.fixture(autouse=True)
def _queue(settings):
    settings.EMAIL_BACKEND = "contextmcp.common.emails.QueueBackend"


@pytest.fixture
def support(db):
    return client_of("support", "support")


def delivered(state="sent"):
    """Mark the newest message as delivered, as a worker does, and return it."""
    email = OutgoingEmail.objects.get()
    OutgoingEmail.objects.update(state=state, text="", html="", next_attempt_at=None)
    return email


def again(client, email):
    form = {"action": "retry", "_selected_action": [email.pk]}
    preview = client.post(LIST, form).text
    answer = client.post(LIST, form | {"confirmed": "1", "reason": "Ticket 7"}, follow=True).text
    return preview, answer


def only_event(organization):
    [event] = AuditEvent.objects.filter(reason="Ticket 7")
    assert event.actor_user.email == "support@staff.example"
    assert event.organization == organization
    return event.action


def newest(email):
    """Return the message that was queued after `email`."""
    return OutgoingEmail.objects.exclude(pk=email.pk).get()


def test_a_billing_email_is_written_again_to_the_present_address(support, acme, monkeypatch):
    monkeypatch.setitem(billing_content.RENDERERS, "receipt", lambda row: EmailContent(f"Receipt {row.object_id}", ("Thanks.",)))
    row = BillingNotification.objects.create(organization=acme, kind="receipt", object_id="in_7", transition="paid")
    deliver.deliver_due()
    email = delivered("failed")
    acme.email = "billing@acme.example"
    acme.save()
    preview, answer = again(support, email)
    assert f"{acme.name}: the message is sent with current data to billing@acme.example." in preview
    assert "1 message queued." in answer
    resent = newest(email)
    assert (resent.subject, resent.recipients, resent.reference) == ("Receipt in_7", ["billing@acme.example"], str(row.pk))
    assert only_event(acme) == "email.resent"


def test_a_billing_email_that_no_longer_applies_is_refused(support, acme, monkeypatch):
    monkeypatch.setitem(billing_content.RENDERERS, "receipt", lambda row: None)
    row = BillingNotification.objects.create(organization=acme, kind="receipt", object_id="in_7", transition="paid")
    send_email(EmailContent("Receipt", ()), to="a@b.example", category="billing.receipt", reference=row.pk, organization_id=acme.pk)
    preview, answer = again(support, delivered())
    assert "This message no longer applies" in preview
    assert "This message no longer applies" in answer
    assert not AuditEvent.objects.filter(reason="Ticket 7").exists()


def test_an_invitation_gets_a_new_link_and_one_audit_event(support, owner, acme, settings):
    settings.SEAT_LIMIT = "tests.support.seats.unlimited"
    row = AuthManager(acme).invite(owner.caller, "new@people.example", "member")
    email, before = delivered(), bytes(Invitation.objects.get().token_digest)
    assert "a new link is sent to new@people.example. The previous link stops working." in again(support, email)[0]
    assert bytes(Invitation.objects.get().token_digest) != before
    assert "/invitations/" in newest(email).text
    assert only_event(acme) == "invitation.resent"
    AuthManager(acme).revoke_invitation(owner.user, row.pk)
    assert "accepted or revoked" in again(support, email)[1]


def test_a_password_reset_gets_a_new_link_for_an_active_account_only(support, owner):
    send_email(EmailContent("Reset", ()), to=owner.user.email, category="password_reset_key")
    email = delivered()
    again(support, email)
    assert "/accounts/password/reset/key/" in newest(email).text
    assert only_event(None) == "email.resent"
    User.objects.filter(pk=owner.user.pk).update(is_active=False)
    assert "No active account signs in with this address." in again(support, email)[1]
    assert OutgoingEmail.objects.count() == 2


def test_a_confirmation_gets_a_new_link_until_the_address_is_confirmed(support, owner):
    address, _ = EmailAddress.objects.update_or_create(
        user=owner.user, email=owner.user.email, defaults={"verified": False, "primary": True}
    )
    send_email(EmailContent("Confirm", ()), to=address.email, category="email_confirmation_signup")
    email = delivered()
    again(support, email)
    assert "/accounts/confirm-email/" in newest(email).text
    EmailAddress.objects.update(verified=True)
    assert "The address is already confirmed" in again(support, email)[1]


def test_notices_are_sent_again_while_they_are_true(support, owner, admin, acme):
    send_role_notices(admin.membership, owner.user)
    email = delivered("failed")
    again(support, email)
    assert newest(email).recipients == [owner.user.email]
    admin.membership.role = "viewer"
    admin.membership.save()
    assert "no longer has a role" in again(support, email)[1]


def test_a_usage_alert_and_an_endpoint_notice_are_sent_again(support, owner, acme):
    values = {"kind": "threshold_80", "used": 40, "included": 50, "period_start": now(), "period_end": now() + timedelta(days=30)}
    alert = UsageAlert.objects.create(organization=acme, feature="sessions", occurred_at=now(), **values)
    send_email(EmailContent("x", ()), to=owner.user.email, category="usage.threshold_80", reference=alert.pk, organization_id=acme.pk)
    email = delivered()
    again(support, email)
    assert "80%" in newest(email).subject
    OutgoingEmail.objects.all().delete()
    endpoint = WebhookEndpoint.objects.create(organization=acme, url="https://hook.example/", secret=b"x", event_types=[], enabled=False)
    endpoint_health.send_notice(endpoint, owner.user.email, "It failed.")
    email = delivered()
    again(support, email)
    assert "was disabled" in newest(email).subject
    WebhookEndpoint.objects.update(enabled=True)
    assert "The endpoint is enabled" in again(support, email)[1]


def test_messages_that_cannot_be_written_again_are_refused_with_the_reason(support):
    send_security_notice(UserFactory(), ["a@b.example"], second_factor_removed_by_staff)
    preview, answer = again(support, delivered())
    assert "No organization: This message cannot be sent again. It reported a change whose details" in preview
    assert "It reported a change whose details" in answer
    assert not AuditEvent.objects.filter(reason="Ticket 7").exists()


def test_a_billing_email_without_attempts_left_can_be_retried(support, acme):
    values = {"kind": "receipt", "object_id": "in_7", "transition": "paid", "error": "KeyError", "attempts": deliver.MAX_ATTEMPTS}
    row = BillingNotification.objects.create(organization=acme, **values)
    form = {"action": "retry", "_selected_action": [row.pk], "confirmed": "1", "reason": "Ticket 7"}
    url = "/admin/billing/billingnotification/"
    assert "1 billing email queued." in support.post(url, form, follow=True).text
    row.refresh_from_db()
    assert row.attempts == 0
    assert only_event(acme) == "billing.email_retried"
    assert "will be retried automatically" in support.post(url, form, follow=True).text
