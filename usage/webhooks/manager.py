"""The interface to webhook endpoints: create, change, test and delete them, and resend deliveries."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from accounts import audit
from accounts.models import Organization
from accounts.types import Caller
from contextmcp.common import url_policy
from contextmcp.common.errors import NotFound
from contextmcp.common.ids import as_uuid
from usage.authorize.requests import validation_error
from usage.errors import WebhookDeliveryPending, WebhookDisabled, WebhookEndpointLimitReached, WebhookTestsPending
from usage.models import WebhookDelivery, WebhookEndpoint

from . import outbox, secrets, signing

MAX_ENDPOINTS = 10
MAX_TESTS = 5
DEFAULT_OVERLAP = timedelta(hours=24)
MAX_OVERLAP = timedelta(days=7)
DISABLED_BY_OWNER = _("Disabled by an owner.")
# Characters of a host name (after IDNA encoding) or an IP address.
_HOST = re.compile(rb"[A-Za-z0-9._:-]+")


class WebhookManager:
    """Manages the webhook endpoints of one organization. Changes are written to the audit log."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization

    def endpoints(self) -> QuerySet[WebhookEndpoint]:
        """Return the organization's endpoints, newest first."""
        return WebhookEndpoint.objects.filter(organization=self.organization)

    def endpoint(self, endpoint_id: UUID) -> WebhookEndpoint:
        """Return one endpoint. Raise `NotFound` if it does not exist or belongs to another organization."""
        endpoint = self.endpoints().filter(pk=endpoint_id).first()
        if endpoint is None:
            raise NotFound
        return endpoint

    def add(self, actor: Caller, url: str, event_types: Sequence[str] | None = None, description: str = "") -> tuple[WebhookEndpoint, str]:
        """Create an endpoint and return it with its signing secret, which cannot be displayed again.

        Without `event_types` all types are sent. Raises `ValidationFailed` for the URL, or `WebhookEndpointLimitReached`.
        """
        checked = check_url(url)
        secret = signing.new_secret()
        with transaction.atomic():
            self._lock()
            if self.endpoints().count() >= MAX_ENDPOINTS:
                raise WebhookEndpointLimitReached(limit=MAX_ENDPOINTS)
            endpoint = WebhookEndpoint.objects.create(
                organization=self.organization,
                url=checked,
                description=description,
                event_types=sorted(set(event_types or outbox.EVENT_TYPES)),
                secret=secrets.encrypt(secret),
            )
            after = {"url": endpoint.url, "event_types": endpoint.event_types}
            audit.record("webhook_endpoint.created", organization=self.organization, actor=actor, target=endpoint.pk, after=after)
        return endpoint, secret

    @transaction.atomic
    def change(self, actor: Caller, endpoint_id: UUID, changes: Mapping[str, Any]) -> WebhookEndpoint:
        """Set `url`, `event_types`, `description` or `enabled`. Pending messages are sent to the new URL.

        Enabling an endpoint clears `disabled_reason`. Messages that failed are not resent automatically; see `redeliver`.
        """
        self._lock()
        endpoint = self.endpoint(endpoint_id)
        before = _state(endpoint)
        if "url" in changes:
            endpoint.url = check_url(changes["url"])
        if "event_types" in changes:
            endpoint.event_types = sorted(set(changes["event_types"]))
        endpoint.description = changes.get("description", endpoint.description)
        enabled = changes.get("enabled", endpoint.enabled)
        if enabled != endpoint.enabled:
            endpoint.enabled, endpoint.failing_since = enabled, None
            endpoint.disabled_reason = "" if enabled else DISABLED_BY_OWNER
        after = _state(endpoint)
        if after != before:
            endpoint.save(update_fields=["url", "event_types", "description", "enabled", "disabled_reason", "failing_since"])
            audit.record(
                "webhook_endpoint.changed", organization=self.organization, actor=actor, target=endpoint.pk, before=before, after=after
            )
        return endpoint

    @transaction.atomic
    def rotate_secret(self, actor: Caller, endpoint_id: UUID, overlap: timedelta = DEFAULT_OVERLAP) -> tuple[WebhookEndpoint, str]:
        """Return the endpoint and its new secret. For `overlap`, messages carry a second signature with the previous secret."""
        self._lock()
        endpoint = self.endpoint(endpoint_id)
        secret, present = signing.new_secret(), timezone.now()
        endpoint.previous_secret = endpoint.secret if overlap else None
        endpoint.previous_secret_expires_at = present + overlap if overlap else None
        endpoint.secret = secrets.encrypt(secret)
        endpoint.save(update_fields=["secret", "previous_secret", "previous_secret_expires_at"])
        after = {"previous_secret_expires_at": (present + overlap).isoformat()}
        audit.record("webhook_endpoint.secret_rotated", organization=self.organization, actor=actor, target=endpoint.pk, after=after)
        return endpoint, secret

    @transaction.atomic
    def redeliver(self, actor: Caller, endpoint_id: UUID, delivery_id: UUID) -> WebhookDelivery:
        """Resend a message under the same ID, with the full number of attempts.

        Raises `NotFound`, `WebhookDisabled` or `WebhookDeliveryPending`.
        """
        endpoint = self.endpoint(endpoint_id)
        delivery = WebhookDelivery.objects.select_for_update().filter(endpoint=endpoint, pk=delivery_id).first()
        if delivery is None:
            raise NotFound
        if not endpoint.enabled:
            raise WebhookDisabled
        if delivery.state == WebhookDelivery.State.PENDING:
            raise WebhookDeliveryPending
        delivery.state, delivery.attempts, delivery.next_attempt_at, delivery.finished_at = (
            WebhookDelivery.State.PENDING,
            0,
            timezone.now(),
            None,
        )
        delivery.save(update_fields=["state", "attempts", "next_attempt_at", "finished_at"])
        outbox.schedule_dispatch()
        after = {"delivery": str(delivery.pk), "event_type": delivery.event_type}
        audit.record("webhook_endpoint.redelivered", organization=self.organization, actor=actor, target=endpoint.pk, after=after)
        return delivery

    def _lock(self) -> None:
        """Lock the organization so that changes are serialized. Must run inside a transaction."""
        Organization.objects.select_for_update().get(pk=self.organization.pk)

    @transaction.atomic
    def remove(self, actor: Caller, endpoint_id: UUID) -> None:
        """Delete an endpoint and its deliveries. Raises `NotFound`."""
        endpoint = self.endpoint(endpoint_id)
        before = {"url": endpoint.url, "event_types": endpoint.event_types}
        audit.record("webhook_endpoint.deleted", organization=self.organization, actor=actor, target=endpoint.pk, before=before)
        endpoint.delete()

    def test(self, actor: Caller, endpoint_id: UUID) -> WebhookDelivery:
        """Queue a test message. Raises `NotFound`, `WebhookDisabled` or `WebhookTestsPending`."""
        endpoint = self.endpoint(endpoint_id)
        if not endpoint.enabled:
            raise WebhookDisabled
        if self.deliveries(endpoint_id).filter(event_type=outbox.TEST, state=WebhookDelivery.State.PENDING).count() >= MAX_TESTS:
            raise WebhookTestsPending
        with transaction.atomic():
            audit.record("webhook_endpoint.tested", organization=self.organization, actor=actor, target=endpoint.pk)
            return outbox.enqueue(endpoint, outbox.TEST, {"organization_id": self.organization.pk, "endpoint_id": endpoint.pk})

    def deliveries(self, endpoint_id: UUID) -> QuerySet[WebhookDelivery]:
        """Return the deliveries to an endpoint, newest first. Raises `NotFound`."""
        return WebhookDelivery.objects.filter(endpoint=self.endpoint(endpoint_id))

    def deliveries_before(self, endpoint_id: UUID, delivery_id: str) -> QuerySet[WebhookDelivery]:
        """Return the deliveries that are older than the one with this ID; all if there is no such delivery. Raises `NotFound`."""
        rows = self.deliveries(endpoint_id)
        known = as_uuid(delivery_id)
        last = rows.filter(pk=known).only("created_at").first() if known else None
        if last is None:
            return rows
        return rows.filter(Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, pk__lt=last.pk))

    def delivery(self, endpoint_id: UUID, delivery_id: UUID) -> WebhookDelivery:
        """Return one delivery with its endpoint. Raises `NotFound`."""
        rows = WebhookDelivery.objects.select_related("endpoint").filter(endpoint__organization=self.organization)
        delivery = rows.filter(endpoint_id=endpoint_id, pk=delivery_id).first()
        if delivery is None:
            raise NotFound
        return delivery


def _state(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """Return the fields of an endpoint that its owner sets."""
    return {name: getattr(endpoint, name) for name in ("url", "event_types", "description", "enabled")}


def check_url(text: str) -> str:
    """Return the normalized URL. Raise `ValidationFailed` if it is not acceptable.

    The host name is not resolved here. The addresses that it resolves to are checked at every delivery attempt.
    """
    if (
        len(text) > url_policy.MAX_URL_LENGTH
        or not text.isprintable()
        or any(character.isspace() or character == "\\" for character in text)
    ):
        raise validation_error("url", "Enter a URL such as https://example.com/hooks.")
    try:
        url = httpx.URL(text)
        plausible = (
            bool(_HOST.fullmatch(url.raw_host)) and url.scheme in ("https", "http") and (url.port is None or 1 <= url.port <= 65_535)
        )
    except (httpx.InvalidURL, ValueError):
        plausible = False
    if not plausible:
        raise validation_error("url", "Enter a URL such as https://example.com/hooks.")
    if url.userinfo or url.fragment:
        raise validation_error("url", "Remove the user name, password and fragment from the URL.")
    if settings.WEBHOOKS_ALLOW_PRIVATE:
        return str(url)
    if url.scheme != "https":
        raise validation_error("url", "Enter an https:// URL.")
    if not url_policy.is_public_hostname(url.raw_host.decode()):
        raise validation_error("url", "Enter a URL on the public internet.")
    return str(url)
