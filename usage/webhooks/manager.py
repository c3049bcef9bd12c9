"""The façade: where an organization is told of what happens."""

import re
from collections.abc import Sequence
from uuid import UUID

import httpx
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from accounts import audit
from accounts.models import Organization
from accounts.types import Caller
from contextmcp.common.errors import Conflict, NotFound
from usage.models import WebhookDelivery, WebhookEndpoint
from usage.requests import invalid

from . import addresses, outbox, secrets, signing

MOST_ENDPOINTS = 10
MOST_TESTS = 5
# What a name or an address is made of, once other alphabets are written in ASCII.
_HOST = re.compile(rb"[A-Za-z0-9._:-]+")


class WebhookManager:
    def __init__(self, organization: Organization) -> None:
        self.organization = organization

    def endpoints(self) -> QuerySet[WebhookEndpoint]:
        return WebhookEndpoint.objects.filter(organization=self.organization)

    def endpoint(self, endpoint_id: UUID) -> WebhookEndpoint:
        """`NotFound` for a stranger's too."""
        found = self.endpoints().filter(pk=endpoint_id).first()
        if found is None:
            raise NotFound
        return found

    def add(self, actor: Caller, url: str, event_types: Sequence[str] | None = None, description: str = "") -> tuple[WebhookEndpoint, str]:
        """The endpoint and its signing secret, which nobody shows again. By default it is told of everything."""
        checked = check_url(url)
        secret = signing.new_secret()
        with transaction.atomic():
            # Under the organization's row, so that two at a time do not exceed the number.
            Organization.objects.select_for_update().get(pk=self.organization.pk)
            if self.endpoints().count() >= MOST_ENDPOINTS:
                raise Conflict(f"An organization has at most {MOST_ENDPOINTS} webhook endpoints.", limit=MOST_ENDPOINTS)
            made = WebhookEndpoint.objects.create(
                organization=self.organization,
                url=checked,
                description=description,
                event_types=sorted(set(event_types or outbox.EVENT_TYPES)),
                secret=secrets.seal(secret),
            )
            after = {"url": made.url, "event_types": made.event_types}
            audit.record("webhook_endpoint.created", organization=self.organization, actor=actor, target=made.pk, after=after)
        return made, secret

    @transaction.atomic
    def remove(self, actor: Caller, endpoint_id: UUID) -> None:
        """Nothing more is sent there; what was is forgotten."""
        endpoint = self.endpoint(endpoint_id)
        before = {"url": endpoint.url, "event_types": endpoint.event_types}
        audit.record("webhook_endpoint.deleted", organization=self.organization, actor=actor, target=endpoint.pk, before=before)
        endpoint.delete()

    def test(self, actor: Caller, endpoint_id: UUID) -> WebhookDelivery:
        """Queue a message that says nothing but that it is a test."""
        endpoint = self.endpoint(endpoint_id)
        if not endpoint.enabled:
            raise Conflict(f"This endpoint is disabled. {endpoint.disabled_reason}".strip())
        if self.deliveries(endpoint_id).filter(event_type=outbox.TEST, state=WebhookDelivery.State.PENDING).count() >= MOST_TESTS:
            raise Conflict("Test messages wait for this endpoint already.")
        with transaction.atomic():
            audit.record("webhook_endpoint.tested", organization=self.organization, actor=actor, target=endpoint.pk)
            return outbox.queue(endpoint, outbox.TEST, {"organization_id": self.organization.pk, "endpoint_id": endpoint.pk})

    def deliveries(self, endpoint_id: UUID) -> QuerySet[WebhookDelivery]:
        return WebhookDelivery.objects.filter(endpoint=self.endpoint(endpoint_id))


def check_url(text: str) -> str:
    """The address as it will be called; `ValidationFailed` with what is wrong with it. Whom its name leads to is asked at every call."""
    if len(text) > addresses.MOST_LENGTH or not text.isprintable() or any(character.isspace() or character == "\\" for character in text):
        raise invalid("url", "Give an address such as https://example.com/hooks.")
    try:
        url = httpx.URL(text)
        plausible = (
            bool(_HOST.fullmatch(url.raw_host)) and url.scheme in ("https", "http") and (url.port is None or 1 <= url.port <= 65_535)
        )
    except (httpx.InvalidURL, ValueError):
        plausible = False
    if not plausible:
        raise invalid("url", "Give an address such as https://example.com/hooks.")
    if url.userinfo or url.fragment:
        raise invalid("url", "Leave out the user, the password and the fragment.")
    if settings.WEBHOOKS_ALLOW_PRIVATE:
        return str(url)
    if url.scheme != "https":
        raise invalid("url", "Give an https:// address.")
    if not addresses.host_is_plausible(url.raw_host.decode()):
        raise invalid("url", "Give an address on the public internet.")
    return str(url)
