"""The base classes of sources."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import WorkItem
from billing.models import BillingAccount
from contextmcp.common.admin_links import page_url

# Maximum number of problems of one kind that are found, newest first. Older problems are found when newer ones have ended.
LIMIT = 500


@dataclass(frozen=True)
class Finding:
    """One problem. `occurrence` identifies when it last occurred, in at most 100 characters."""

    object_id: str
    title: str
    detail: str = ""
    organization_id: UUID | None = None
    occurrence: str = ""


class Source:
    """One kind of problem. `model` ("app.model") is the model of the objects. Staff who may not view it do not see the items."""

    kind: ClassVar[str]
    title: ClassVar[str]
    model: ClassVar[str]
    priority: ClassVar[int] = WorkItem.Priority.NORMAL
    # Whether an item is closed when the problem is no longer found. If not, the problem is a past event, and only a person closes the item.
    ends: ClassVar[bool] = True
    # How often the source is read.
    every_minutes: ClassVar[int] = 1

    def find(self, present: datetime) -> list[Finding]:
        """Return the problems at `present`, at most LIMIT, newest first."""
        raise NotImplementedError

    def remaining(self, present: datetime, object_ids: Collection[str]) -> set[str]:
        """Return those of `object_ids` that still have the problem. Called only if the source `ends`."""
        raise NotImplementedError

    def url(self, object_id: str) -> str:
        """Return the address of the object's page."""
        return page_url(self.model, object_id)

    @property
    def permission(self) -> str:
        """The permission to see the items."""
        app, model = self.model.split(".")
        return f"{app}.view_{model}"


class RowSource(Source):
    """Problems that are rows of one table."""

    def rows(self, present: datetime) -> QuerySet[Any]:
        """Return the rows that have the problem, newest first. An index must serve the condition and the order."""
        raise NotImplementedError

    def findings(self, rows: list[Any]) -> Iterable[Finding]:
        """Return the problems of `rows`."""
        raise NotImplementedError

    def find(self, present: datetime) -> list[Finding]:
        """Return the problems at `present`."""
        return list(self.findings(list(self.rows(present)[:LIMIT])))

    def remaining(self, present: datetime, object_ids: Collection[str]) -> set[str]:
        """Return those of `object_ids` whose rows still have the problem."""
        rows = self.rows(present).order_by().filter(pk__in=object_ids)
        return {str(pk) for pk in rows.values_list("pk", flat=True)}


def organizations_of_customers(customer_ids: Iterable[str]) -> Mapping[str, UUID]:
    """Return the organizations of Stripe customers."""
    accounts = BillingAccount.objects.filter(stripe_customer_id__in=set(customer_ids))
    return {str(customer): organization for customer, organization in accounts.values_list("stripe_customer_id", "organization_id")}


def first_line(text: str) -> str:
    """Return the first line of an error message."""
    return next(iter(text.strip().splitlines()), "")
