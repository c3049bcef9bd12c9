"""Purchases by payment link or pricing table, for which Stripe creates a customer that names no organization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from allauth.account.models import EmailAddress

from accounts.audit import record
from accounts.models import Organization
from accounts.roles import Role
from billing import customer_mapping, operator_alerts
from billing.catalog import prices
from billing.models import WebhookEvent
from billing.stripe.gateway import checkout
from contextmcp.common.ids import as_uuid

Document = dict[str, Any]


class UnlinkedPurchase:
    """A possible purchase by a customer without an organization. Events only name the objects; their data is fetched from Stripe."""

    def __init__(self, customer_id: str, events: Sequence[int]) -> None:
        self.customer_id = customer_id
        self.events = events

    def is_ours(self, customer: Document | None) -> bool:
        """Return whether the customer belongs to an organization. Links it if a completed purchase identifies the organization."""
        if customer_mapping.belongs_to_organization(self.customer_id, customer):
            return True
        organization = self._buyer(customer) if customer and not customer.get("deleted") else None
        return organization is not None and _link(organization, self.customer_id)

    def alert(self) -> None:
        """Open an operator alert for each active subscription to a plan of this product that belongs to no organization."""
        subscriptions = [each for each in self._objects("customer.subscription.") if each["status"] in ("active", "trialing")]
        for document in prices.own_subscriptions(subscriptions):
            operator_alerts.raise_alert(
                operator_alerts.UNLINKED_PURCHASE, subject=document["id"], customer=self.customer_id, subscription=document["id"]
            )

    def _objects(self, prefix: str) -> Iterator[Document]:
        rows = WebhookEvent.objects.filter(pk__in=self.events, type__startswith=prefix)
        yield from rows.order_by("pk").values_list("payload__data__object", flat=True)

    def _buyer(self, customer: Document) -> Organization | None:
        """Return the organization that a completed session names, or else the only one whose owner confirmed the customer's address."""
        sessions = [session for each in self._objects("checkout.session.") if (session := checkout.retrieve(str(each["id"])))]
        completed = [
            each
            for each in sessions
            if each["customer"] == self.customer_id and (each["mode"], each["status"]) == ("subscription", "complete")
        ]
        for session in completed:
            if identifier := as_uuid(session["client_reference_id"]):
                return Organization.objects.filter(pk=identifier, closed_at=None).first()
        return _organization_by_address(str(customer.get("email") or "")) if completed else None


def _organization_by_address(address: str) -> Organization | None:
    users = EmailAddress.objects.filter(email__iexact=address, verified=True).values("user_id")
    owned = Organization.objects.filter(memberships__user_id__in=users, memberships__role=Role.OWNER, closed_at=None).distinct()[:2]
    return owned[0] if len(owned) == 1 else None


def _link(organization: Organization, customer_id: str) -> bool:
    """Link the customer to the organization, unless its current customer has a live subscription. Returns whether it was linked."""
    account = customer_mapping.account_for_organization(organization)
    former = account.stripe_customer_id or ""
    if former and not account.customer_deleted_at and organization.subscriptions.live().exclude(status="incomplete").exists():
        return False
    account.stripe_customer_id, account.customer_deleted_at = customer_id, None
    account.save(update_fields=["stripe_customer_id", "customer_deleted_at"])
    before, after = {"customer": former}, {"customer": customer_id}
    record(
        "billing.customer_linked", organization=organization, actor=None, target=f"billing:{organization.pk}", before=before, after=after
    )
    return True
