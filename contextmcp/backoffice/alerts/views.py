"""The page that sends a test alert through each channel and shows the results."""

import smtplib
from dataclasses import dataclass

from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path
from django.views.decorators.http import require_http_methods

from accounts import alert_delivery, alert_messages, audit
from accounts.authentication import staff
from accounts.models import AlertDelivery, OperatorAlert, User
from contextmcp.backoffice.decorators import page_context, staff_page
from contextmcp.common.admin_forms import ReasonForm
from contextmcp.common.delivery import send_now

from .admin import TEST, channels


@dataclass(frozen=True)
class TestResult:
    """The result of the test alert on one channel."""

    channel: str
    succeeded: bool
    text: str


@staff_page(TEST)
@require_http_methods(["GET", "POST"])
def test_alert(request: HttpRequest) -> HttpResponseBase:
    """Send a test alert when it is confirmed with a reason. The response waits for the result of each channel."""
    form = ReasonForm(request.POST if request.method == "POST" else None)
    results = send_test(staff(request), form.cleaned_data["reason"]) if form.is_valid() else None
    page = page_context(request, "Send a test alert", form=form, results=results, channels=channels())
    return TemplateResponse(request, "backoffice/alerts/test.html", page)


def send_test(actor: User, reason: str) -> list[TestResult]:
    """Send a test alert through each configured channel, record it in the audit log, and return the results."""
    alert = OperatorAlert(code=alert_messages.TEST, message=f"{actor.get_full_name()} sent this test alert. No action is needed.")
    results = [_email(alert), *(_webhook(channel, alert) for channel in alert_messages.webhook_urls())]
    with transaction.atomic():
        outcome = {result.channel: result.text for result in results}
        audit.record("operator_alert.tested", organization=None, actor=actor, target="alerts", before={}, after=outcome, reason=reason)
    return results


def _email(alert: OperatorAlert) -> TestResult:
    recipients = alert_messages.email_recipients()
    if not recipients:
        return TestResult("Email", False, "No recipients. Set ALERT_EMAILS, or add an email address to a superuser.")
    try:
        for address in recipients:
            send_now(alert_messages.email_content(alert, alert_messages.TEST), to=address)
    except (OSError, smtplib.SMTPException) as error:
        # The text of the error may contain the mail server's credentials or address.
        return TestResult("Email", False, f"The mail server did not accept the message ({type(error).__name__}).")
    return TestResult("Email", True, f"The mail server accepted {len(recipients)} message{'s' if len(recipients) > 1 else ''}.")


def _webhook(channel: str, alert: OperatorAlert) -> TestResult:
    body = alert_messages.body(channel, alert, alert_messages.TEST)
    delivery = AlertDelivery(channel=channel, event=alert_messages.TEST, body=body, attempts=1, state=AlertDelivery.State.FAILED)
    result = alert_delivery.attempt(channel, str(delivery.pk), body)
    # A test is not retried: its result is on the page.
    delivery.save()
    alert_delivery.record_result(delivery, result)
    text = f"Delivered: {result}." if result.succeeded else f"Not delivered: {result}"
    return TestResult(AlertDelivery.Channel(channel).label, result.succeeded, text)


urlpatterns = [path("alerts/test/", test_alert, name="test-alert")]
