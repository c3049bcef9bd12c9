"""Email is stored with the change that it reports, delivered by a worker, and listed for staff without its text."""

import re
import select
import socket
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.core.mail.message import BadHeaderError
from django.db import connection, transaction
from django.urls import reverse

from accounts.emails import send_role_notices
from accounts.models import AuditEvent, User
from contextmcp.common import delivery
from contextmcp.common.clock import now
from contextmcp.common.emails import MAX_DELIVERY_AGE, EmailContent, send_email
from contextmcp.common.models import OutgoingEmail
from contextmcp.common.tasks import purge_emails
from tests.factories.accounts import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db
LOCMEM, SMTP = "django.core.mail.backends.locmem.EmailBackend", "django.core.mail.backends.smtp.EmailBackend"
FORM = {"email": "ada@new.example", "password1": PASSWORD, "organization": "Ada & Co"}


@pytest.fixture(autouse=True)
def _queue(settings):
    settings.EMAIL_BACKEND, settings.EMAIL_DELIVERY_BACKEND = "contextmcp.common.emails.QueueBackend", LOCMEM


def store(title="S", **params):
    send_email(EmailContent(title, ("secret link",)), **{"category": "test", "to": "a@b.example"} | params)
    return OutgoingEmail.objects.first()


def jobs():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'common.send_emails'")
        return cursor.fetchone()[0]


@contextmanager
def smtp(settings, kind):
    """A mail server that refuses connections, or accepts them and sends nothing."""
    server = socket.create_server(("127.0.0.1", 0))
    settings.EMAIL_DELIVERY_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = SMTP, *server.getsockname()
    settings.EMAIL_TIMEOUT = 10
    if kind == "refused":
        server.close()
    with server:
        yield server
    settings.EMAIL_DELIVERY_BACKEND = LOCMEM


def test_a_message_and_its_job_are_part_of_the_transaction():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        store()
        raise ZeroDivisionError
    assert (OutgoingEmail.objects.count(), jobs()) == (0, 0)
    store()
    assert (OutgoingEmail.objects.count(), jobs()) == (1, 1)


def test_delivered_emails_have_no_text(mailoutbox):
    email = store(reference="7")
    assert delivery.deliver_due() == 1
    (message,) = mailoutbox
    ((html, kind),) = message.alternatives
    assert (message.to, message.subject, message.body.split()) == (["a@b.example"], "S", ["S", "secret", "link"])
    assert kind == "text/html" and ">secret link</p>" in html
    email.refresh_from_db()
    assert (email.state, email.text, email.html, email.attempts) == ("sent", "", "", 1)
    assert delivery.deliver_due() == 0


@pytest.mark.parametrize("kind", ["refused", "silent"])
def test_sign_up_and_reset_work_without_a_mail_server(client, settings, kind):
    with smtp(settings, kind) as server:
        assert client.post(reverse("account_signup"), FORM).status_code == 302
        client.logout()
        assert client.post(reverse("account_reset_password"), {"email": FORM["email"]}).status_code == 302
        # Requests do not connect to the mail server.
        assert kind == "refused" or select.select([server], [], [], 0)[0] == []
        assert delivery.deliver_due() == 0
        assert User.objects.filter(email=FORM["email"]).exists()
        first = OutgoingEmail.objects.last()
        assert first.last_error and (first.state, first.attempts) == ("queued", 1)
        # The server did not answer the first one, so the others were not tried.
        assert OutgoingEmail.objects.filter(attempts=0).count() == OutgoingEmail.objects.count() - 1
    OutgoingEmail.objects.update(next_attempt_at=now())
    assert delivery.deliver_due() == 2
    texts = " ".join(message.body for message in mail.outbox)
    assert re.search(r"/accounts/confirm-email/\S+", texts) and re.search(r"/accounts/password/reset/key/\S+", texts)
    assert set(OutgoingEmail.objects.values_list("category", flat=True)) == {"email_confirmation_signup", "password_reset_key"}


def test_retries_back_off_and_end(settings):
    settings.EMAIL_DELIVERY_BACKEND = "tests.support.failing_mail.Backend"
    email, delays = store(), []
    for _ in range(9):
        OutgoingEmail.objects.update(next_attempt_at=now())
        delivery.deliver_due()
        email.refresh_from_db()
        delays.append(round((email.next_attempt_at - now()).total_seconds()))
    assert delays == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert email.last_error == "ConnectionRefusedError: no server listens"
    OutgoingEmail.objects.update(expires_at=now(), next_attempt_at=now())
    delivery.deliver_due()
    email.refresh_from_db()
    assert (email.state, email.text, email.html, email.attempts) == ("failed", "", "", 9)
    assert timedelta(0) < MAX_DELIVERY_AGE <= timedelta(days=3)


def test_a_refused_recipient_does_not_delay_others(monkeypatch, mailoutbox):
    import smtplib

    bad, good = store(to="bad@b.example"), store(to="good@b.example")
    real = delivery.get_connection

    class Picky:
        def __init__(self, backend):
            self.real = real(backend)

        def send_messages(self, messages):
            if messages[0].to == bad.recipients:
                raise smtplib.SMTPRecipientsRefused({bad.recipients[0]: (550, b"no such user")})
            return self.real.send_messages(messages)

    monkeypatch.setattr(delivery, "get_connection", Picky)
    assert delivery.deliver_due() == 1
    good.refresh_from_db()
    assert good.state == "sent"


def test_a_worker_killed_while_sending_only_delays_the_email(monkeypatch):
    email = store()
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "_message", lambda email: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            delivery.deliver_due()
    assert delivery.deliver_due() == 0
    OutgoingEmail.objects.filter(pk=email.pk).update(next_attempt_at=now())
    assert delivery.deliver_due() == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_deliver_an_email_once(mailoutbox):
    email = store()
    ready, claimed = threading.Barrier(2), []

    def claim():
        mine = OutgoingEmail.objects.get(pk=email.pk)
        ready.wait()
        claimed.append(delivery._claim(mine))
        connection.close()

    threads = [threading.Thread(target=claim) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == [False, True]


def test_headers_and_attachments_are_refused_when_queued():
    with pytest.raises(BadHeaderError):
        EmailMessage("a\nBcc: b@c.example", "x", to=["a@b.example"]).send()
    message = EmailMessage("a", "x", to=["a@b.example"])
    message.attach("a.txt", "x", "text/plain")
    with pytest.raises(ValueError, match="Attachments"):
        message.send()
    with pytest.raises(ValueError, match="other headers"):
        EmailMessage("a", "x", to=["a@b.example"], headers={"X-Other": "x"}).send()
    assert not OutgoingEmail.objects.exists()


def test_a_title_with_a_line_break_is_one_header(mailoutbox):
    assert store(title="Acme\nBcc: all@world.example").subject == "Acme Bcc: all@world.example"


def test_text_is_plain_and_html_is_escaped():
    content = EmailContent("A & B", ("<b>",), label="Open", link="https://x.example/?a&b", lines=(("Tax <1>", "$2"),), note="Why & how")
    send_email(content, to="a@b.example", category="test")
    email = OutgoingEmail.objects.get()
    assert email.text.split("\n") == ["A & B", "", "<b>", "", "Tax <1>: $2", "", "Open:", "https://x.example/?a&b", "", "Why & how", "", ""]
    for escaped in ("A &amp; B", "&lt;b&gt;", "Tax &lt;1&gt;", "https://x.example/?a&amp;b", "Why &amp; how"):
        assert escaped in email.html


def test_old_emails_are_deleted_and_pending_ones_kept():
    waiting, sent = store(), store()
    OutgoingEmail.objects.filter(pk=sent.pk).update(state="sent", text="", html="")
    OutgoingEmail.objects.update(created_at=now() - timedelta(days=31))
    purge_emails(timestamp=0)
    assert list(OutgoingEmail.objects.values_list("pk", flat=True)) == [waiting.pk]


class TestAdmin:
    URL = "/admin/common/outgoingemail/"

    @pytest.fixture
    def staff(self, client):
        client.force_login(UserFactory(is_staff=True, is_superuser=True))
        return client

    def test_failures_are_listed_without_their_text(self, staff, settings):
        settings.EMAIL_DELIVERY_BACKEND = "tests.support.failing_mail.Backend"
        email = store()
        delivery.deliver_due()
        for page in (staff.get(self.URL).text, staff.get(f"{self.URL}{email.pk}/change/").text):
            assert "no server listens" in page and "secret link" not in page

    def test_staff_can_retry_immediately(self, staff):
        email = store()
        OutgoingEmail.objects.update(next_attempt_at=now() + timedelta(hours=1))
        params = {"action": "retry", "_selected_action": [email.pk]}
        assert "Reason" in staff.post(self.URL, params).text
        assert delivery.deliver_due() == 0
        params |= {"confirmed": "1", "reason": "The mail server is back"}
        assert "1 message queued" in staff.post(self.URL, params, follow=True).text
        event = AuditEvent.objects.get(action="email.retried")
        assert (event.actor_user.is_staff, event.reason) == (True, "The mail server is back")
        assert delivery.deliver_due() == 1
        assert "This message cannot be sent again." in staff.post(self.URL, params, follow=True).text

    def test_retrying_requires_the_permission(self, client):
        from django.contrib.auth.models import Permission

        viewing_staff = UserFactory(is_staff=True)
        viewing_staff.user_permissions.add(Permission.objects.get(codename="view_outgoingemail"))
        client.force_login(viewing_staff)
        email = store()
        later = now() + timedelta(hours=1)
        OutgoingEmail.objects.update(next_attempt_at=later)
        assert client.get(self.URL).status_code == 200
        client.post(self.URL, {"action": "retry", "_selected_action": [email.pk], "confirmed": "1", "reason": "x"})
        assert OutgoingEmail.objects.get().next_attempt_at == later


def test_an_email_about_an_organization_is_listed_by_it(owner, admin):
    send_role_notices(admin.membership, owner.user)
    store(category="password_reset_key")
    rows = OutgoingEmail.objects.filter(organization_id=owner.organization.pk)
    assert [(row.category, row.recipients) for row in rows] == [("role_notice", [owner.user.email])]
