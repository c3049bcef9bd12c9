"""Types of the timeline."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from accounts.models import Organization

from .cursor import Cursor

Audience = Literal["staff", "customer"]


class Kind(StrEnum):
    """What an entry is about. The filter of the pages lists the kinds in this order."""

    PLAN = "plan"
    PAYMENT = "payment"
    USAGE = "usage"
    REFUSAL = "refusal"
    MEMBER = "member"
    KEY = "key"
    APP = "app"
    WEBHOOK = "webhook"
    EMAIL = "email"
    ORGANIZATION = "organization"
    SUPPORT = "support"
    INTERNAL = "internal"

    @property
    def label(self) -> str:
        """Return the name of the kind on pages."""
        return _LABELS[self]


_LABELS = {
    Kind.PLAN: "Plan and limits",
    Kind.PAYMENT: "Billing",
    Kind.USAGE: "Usage",
    Kind.REFUSAL: "Refused requests",
    Kind.MEMBER: "Members",
    Kind.KEY: "API keys",
    Kind.APP: "Connected apps",
    Kind.WEBHOOK: "Webhooks",
    Kind.EMAIL: "Emails",
    Kind.ORGANIZATION: "Organization",
    Kind.SUPPORT: "Access by support",
    Kind.INTERNAL: "Internal",
}
KINDS = frozenset(Kind)
CUSTOMER_KINDS = KINDS - {Kind.INTERNAL}


@dataclass(frozen=True)
class Entry:
    """One line of the timeline.

    `link` is the page of the cause: for staff the admin page of the object, for a member the related page of the account. It is empty if
    there is none. `action` is the text of a link that leads to where the member can do something about the entry; it is empty for other
    links. `record` is the admin page of the audit event (staff only). `detail` has what only some readers need. `internal` entries are
    never shown to customers.
    """

    at: datetime
    kind: Kind
    sentence: str
    actor: str = ""
    link: str = ""
    detail: str = ""
    internal: bool = False
    record: str = ""
    action: str = ""


@dataclass(frozen=True)
class Page:
    """A page of entries, newest first. `next_cursor` is empty on the last page."""

    entries: list[Entry]
    next_cursor: str


@dataclass(frozen=True)
class Query:
    """What to read. Each source reads at most `limit` rows at or after `cursor`, in the order of the timeline.

    `without` are actions of the audit log that are left out.

    `since` is included and `until` excluded. `key` is an API key or a connected app, `member` a user. `code` is a part of an action or of
    the code of a refusal.

    The rest is what the reader may see: `own` is the user whose keys and apps are shown, or None for those of all members;
    `email_categories` are the prefixes of the categories of email, or None for all; `opens_billing` tells whether the reader may open the
    billing page. `abilities` are the permissions and scopes of a member, which decide what the links of entries offer.
    """

    organization: Organization
    audience: Audience
    kinds: frozenset[Kind]
    cursor: Cursor | None
    limit: int
    since: datetime | None = None
    until: datetime | None = None
    key: UUID | None = None
    member: int | None = None
    code: str = ""
    own: int | None = None
    email_categories: tuple[str, ...] | None = None
    opens_billing: bool = True
    without: frozenset[str] = frozenset()
    abilities: frozenset[str] = frozenset()

    def may(self, ability: str) -> bool:
        """Return whether the reader has a permission or a scope."""
        return ability in self.abilities

    @property
    def for_staff(self) -> bool:
        """Return whether the entries are for staff rather than for the organization's members."""
        return self.audience == "staff"

    @property
    def by_actor_or_code(self) -> bool:
        """Return whether a filter is set that only entries with an actor, a key or a code can match."""
        return self.key is not None or self.member is not None or bool(self.code)
