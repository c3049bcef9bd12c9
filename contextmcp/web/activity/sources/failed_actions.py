"""Changes at Stripe that failed, such as a plan change whose payment was declined. For staff, because the errors are Stripe's."""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from billing.models import BillingAction
from contextmcp.common.admin_links import page_url
from contextmcp.web.activity.names import Names, References
from contextmcp.web.activity.types import Entry, Kind, Query

from .base import Item, Source, Stream, StreamRows, user_columns, user_of

# Replaced by a newer action, so nothing failed.
_SUPERSEDED = "superseded"


class FailedActionSource(Source):
    kinds: ClassVar = frozenset({Kind.PAYMENT, Kind.INTERNAL})
    staff_only: ClassVar = True

    def streams(self, query: Query) -> Sequence[StreamRows]:
        if query.key is not None:
            return ()
        rows = BillingAction.objects.filter(organization=query.organization, state=BillingAction.State.FAILED).exclude(error=_SUPERSEDED)
        if query.member is not None:
            rows = rows.filter(created_by_id=query.member)
        if query.code:
            rows = rows.filter(kind=query.code.removeprefix("billing."))
        return [StreamRows(Stream.FAILED_ACTION, rows, parse=UUID, extras=user_columns("created_by"))]

    def refer(self, row: BillingAction, references: References) -> None:
        row.created_by = user_of(row, "created_by")
        if row.created_by:
            references.users[row.created_by.pk] = row.created_by

    def describe(self, item: Item, query: Query, names: Names) -> Entry:
        row: BillingAction = item.row
        by = names.person(row.created_by) if row.created_by else ""
        action = row.kind.replace("_", " ")
        sentence = f"{by} tried to {action}, which failed." if by else f"The action “{action}” at Stripe failed."
        return Entry(item.at, Kind.PAYMENT, sentence, by, page_url("billing.billingaction", row.pk), row.error, internal=True)


SOURCE = FailedActionSource()
