"""Find the discounts of a subscription's event. Events contain only their IDs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import structlog

from billing.documents.columns import discount_fields
from billing.documents.stripe_documents import Document, reference_id
from billing.models import SubscriptionChange, WebhookEvent
from billing.stripe.gateway import catalog
from billing.stripe.mirror import read

log = structlog.get_logger(__name__)
CREATED = "customer.discount.created"


# A discount without a duration is a placeholder: the event that describes it has not arrived.
UNKNOWN: dict[str, Any] = {"duration": None}


class KnownDiscounts:
    """The discounts of one organization: those of the fetched subscriptions, of earlier changes, and of these stored events."""

    def __init__(self, changes: Iterable[SubscriptionChange], documents: Iterable[Document], event_ids: Collection[int]) -> None:
        self._known = {each["id"]: each for change in changes for each in change.discounts if each["duration"]}
        created = WebhookEvent.objects.filter(pk__in=event_ids, type=CREATED)
        self._add(_with_coupon(document) for document in created.values_list("payload__data__object", flat=True))
        for document in documents:
            self._add(each for each in document.get("discounts") or [] if isinstance(each, Mapping))

    def of(self, document: Document) -> list[dict[str, Any]]:
        """Return a subscription's discounts in order. An unknown discount is logged and has no effect until its event arrives."""
        ids = [reference_id(each) for each in document.get("discounts") or []]
        if unknown := [each for each in ids if each not in self._known]:
            self._find(unknown)
        return [self._known.get(each, {"id": each, **UNKNOWN}) for each in ids]

    def explain(self, change: SubscriptionChange) -> bool:
        """Return whether a discount that was unknown when the change was logged is known now."""
        return any(not each["duration"] and each["id"] in self._known for each in change.discounts)

    def _find(self, ids: list[str]) -> None:
        events = WebhookEvent.objects.filter(type=CREATED, payload__data__object__id__in=ids)
        self._add(_with_coupon(document) for document in events.values_list("payload__data__object", flat=True))
        for missing in set(ids) - set(self._known):
            log.info("billing.unknown_discount", discount=missing)

    def _add(self, documents: Iterable[Document]) -> None:
        for document in documents:
            fields = discount_fields(document)
            if fields["duration"]:
                self._known[document["id"]] = fields


def _with_coupon(discount: Document) -> dict[str, Any]:
    """Return the discount with its coupon expanded, from the mirror or from Stripe."""
    coupon = (discount.get("source") or {}).get("coupon")
    identifier = reference_id(coupon)
    document = coupon if isinstance(coupon, Mapping) else read.coupon(identifier) or catalog.coupon(identifier)
    return {**discount, "source": {"type": "coupon", "coupon": document or identifier}}
