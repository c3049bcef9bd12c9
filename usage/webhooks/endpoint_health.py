"""Track whether a webhook endpoint accepts messages, and disable it when it has failed for too long."""

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from accounts import audit, notifications
from accounts.selectors import reader_of
from contextmcp.common.emails import EmailContent, send_email
from contextmcp.common.locale import localized_for
from contextmcp.common.text import translated
from usage.models import WebhookEndpoint
from usage.notification_topics import WEBHOOKS

from . import http_client
from .http_client import DeliveryResult

log = structlog.get_logger(__name__)
# Category of the email to the owners.
DISABLED = "usage.webhook_endpoint_disabled"
# An endpoint is disabled when a message runs out of attempts and no attempt has succeeded for this long.
DISABLE_AFTER = timedelta(days=3)
FAILED_FOR_DAYS = gettext_noop("No message was delivered for more than three days.")
# Errors that this service causes, and not the endpoint.
DISABLED_BY_SYSTEM = frozenset({"endpoint_disabled", "secret_unreadable"})


def record_result(endpoint: WebhookEndpoint, result: DeliveryResult, *, given_up: bool) -> None:
    """Record an attempt's result on its endpoint, and disable the endpoint if it returned 410 or has failed for too long."""
    rows = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    if result.succeeded:
        rows.exclude(failing_since=None).update(failing_since=None)
    elif result.error not in DISABLED_BY_SYSTEM:
        present = timezone.now()
        rows.filter(failing_since=None).update(failing_since=present)
        if result.status == http_client.GONE:
            disable(endpoint, gettext_noop("The endpoint returned 410 Gone."))
        elif given_up and rows.filter(failing_since__lte=present - DISABLE_AFTER).exists():
            disable(endpoint, FAILED_FOR_DAYS)


def disable(endpoint: WebhookEndpoint, reason: str) -> None:
    """Disable the endpoint and email the owners who have not turned off such emails. Does nothing if it is already disabled."""
    with transaction.atomic():
        if not WebhookEndpoint.objects.filter(pk=endpoint.pk, enabled=True).update(enabled=False, disabled_reason=reason):
            return
        organization = endpoint.organization
        after = {"url": endpoint.url, "enabled": False}
        audit.record("webhook_endpoint.disabled", organization=organization, actor=None, target=endpoint.pk, after=after, reason=reason)
        for address in notifications.recipients(organization, WEBHOOKS).values_list("user__email", flat=True):
            send_notice(endpoint, address, reason)
    log.warning("webhook.endpoint_disabled", organization=str(endpoint.organization_id), endpoint=str(endpoint.pk), reason=reason)


def is_recipient(endpoint: WebhookEndpoint, address: str) -> bool:
    """Return whether the address belongs to an active owner of the endpoint's organization who has not turned off such emails."""
    owners = notifications.recipients(endpoint.organization, WEBHOOKS)
    return endpoint.organization.closed_at is None and owners.filter(user__email=address).exists()


def send_notice(endpoint: WebhookEndpoint, to: str, reason: str) -> None:
    """Email one owner that the endpoint was disabled."""
    with localized_for(reader_of(to)):
        content = notifications.optional(notice(endpoint, reason), endpoint.organization_id)
        send_email(content, to=to, category=DISABLED, reference=endpoint.pk, organization_id=endpoint.organization_id)


def notice(endpoint: WebhookEndpoint, reason: str) -> EmailContent:
    """Return the email to an owner whose webhook endpoint was disabled."""
    values = {"name": endpoint.organization.name, "url": endpoint.url, "product": settings.PRODUCT_NAME, "reason": translated(reason)}
    return EmailContent(
        title=gettext("A webhook endpoint of %(name)s was disabled") % values,
        paragraphs=(
            gettext("We stopped sending webhooks to %(url)s. %(reason)s") % values,
            gettext("When the endpoint works again, enable it on its page and redeliver the messages that it missed."),
        ),
        label=gettext("View webhook endpoint"),
        link=f"{settings.PUBLIC_URL}/account/settings/webhooks/{endpoint.pk}/",
        note=gettext("You receive this email because you are an owner of %(name)s on %(product)s.") % values,
    )
