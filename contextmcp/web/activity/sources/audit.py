"""The audit log."""

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import F, Q

from accounts.models import AuditEvent, ServiceKey, User
from contextmcp.common.admin_links import page_url
from contextmcp.web.activity import sentences
from contextmcp.web.activity.links import Link, disabled_webhook, member_page, payment
from contextmcp.web.activity.names import Names, References
from contextmcp.web.activity.sentences import registry
from contextmcp.web.activity.types import KINDS, Entry, Kind, Query

from .base import Item, Source, Stream, StreamRows, user_columns, user_of

# Kinds of which members without the permission to manage users see only their own actions.
_PERSONAL = frozenset({Kind.KEY, Kind.APP})


class AuditSource(Source):
    kinds: ClassVar = KINDS - {Kind.REFUSAL, Kind.EMAIL}

    def streams(self, query: Query) -> Sequence[StreamRows]:
        rows = AuditEvent.objects.filter(_visible(query), _filtered(query), organization=query.organization)
        extras = {**user_columns("actor_user"), "service_key_name": F("actor_service_key__name")}
        return [StreamRows(Stream.AUDIT, rows, extras=extras)]

    def refer(self, row: AuditEvent, references: References) -> None:
        row.actor_user = user_of(row, "actor_user")
        if row.actor_service_key_id is not None:
            row.actor_service_key = ServiceKey(pk=row.actor_service_key_id, name=row.service_key_name)  # type: ignore[attr-defined]
        if row.actor_user:
            references.users[row.actor_user.pk] = row.actor_user
        if row.actor_key_id:
            references.keys.add(row.actor_key_id)
        if row.action.startswith("key."):
            references.keys.update(_uuids(row.target))

    def describe(self, item: Item, query: Query, names: Names) -> Entry:
        event: AuditEvent = item.row
        context = registry.Context(event, names, query.for_staff)
        known = sentences.find(event.action)
        kind = known.kind if known else Kind.INTERNAL
        record = page_url("accounts.auditevent", event.pk) if query.for_staff else ""
        cause = page_url(known.model, known.target(event)) if known and known.model else ""
        link = Link(cause or record) if query.for_staff else _member_link(event, kind, query)
        return Entry(
            at=event.created_at,
            kind=kind,
            sentence=sentences.describe(context),
            actor=context.by,
            link=link.url,
            detail=_origin(event) if query.for_staff else "",
            internal=known is None or not known.shown,
            record=record,
            action=link.action,
        )


def _member_link(event: AuditEvent, kind: Kind, query: Query) -> Link:
    has_lapsed = (event.after or {}).get("lapsed") and not (event.before or {}).get("lapsed")
    if event.action == "grant.changed" and has_lapsed and query.opens_billing:
        return payment(query, is_open=True)
    if event.action == "webhook_endpoint.disabled":
        return disabled_webhook(query)
    return Link(member_page(kind, query))


def _visible(query: Query) -> Q:
    """Return the condition for the actions that the audience sees. Staff see actions without a sentence as internal ones."""
    if query.for_staff:
        if query.kinds >= AuditSource.kinds:
            return Q()
        if Kind.INTERNAL in query.kinds:
            return ~Q(action__in=registry.actions_of(KINDS - query.kinds))
        return Q(action__in=registry.actions_of(query.kinds))
    if query.own is None:
        return Q(action__in=sentences.shown_actions(query.kinds))
    everybody = Q(action__in=sentences.shown_actions(query.kinds - _PERSONAL))
    return everybody | Q(action__in=sentences.shown_actions(query.kinds & _PERSONAL), actor_user_id=query.own)


def _filtered(query: Query) -> Q:
    condition = ~Q(action__in=query.without) if query.without else Q()
    if query.key is not None:
        text = str(query.key)
        # The target of an app's event is its name, and its ID is in the values.
        condition &= Q(actor_key_id=query.key) | Q(target=text) | Q(after__grant=text) | Q(before__grant=text)
    if query.member is not None:
        email = User.objects.filter(pk=query.member).values("email")
        condition &= Q(actor_user_id=query.member) | Q(target__in=email)
    if query.code:
        condition &= Q(action__in=registry.matching_actions(query.code)) | Q(action=query.code)
    return condition


def _uuids(text: str) -> set[UUID]:
    try:
        return {UUID(text)}
    except ValueError:
        return set()


def _origin(event: Any) -> str:
    parts = [event.ip_address and f"from {event.ip_address}", event.request_id and f"request {event.request_id}"]
    return ", ".join(part for part in parts if part)


SOURCE = AuditSource()
