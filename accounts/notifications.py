"""Which members get which optional emails about their organization.

Each optional email belongs to a topic. A member gets the emails of a topic if their role allows it and they turned it on, or did not turn
off a topic that is on for their role. Emails about the security of an account or an organization have no topic: they are always sent.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from contextmcp.common.emails import EmailContent

from . import audit
from .models import Membership, NotificationChoice, Organization
from .roles import PRIVILEGED_ROLES, Role
from .selectors import active_members
from .types import Caller


@dataclass(frozen=True)
class Topic:
    """A kind of email. Members with one of the `roles` may choose it; it is on by default for those with one of `on_for`."""

    name: str
    title: Promise
    description: Promise
    roles: frozenset[Role]
    on_for: frozenset[Role]


EVERYONE = frozenset(Role)
OWNERS = frozenset({Role.OWNER})
MEMBERS = Topic(
    "members",
    _("Members who join"),
    _("Someone accepted an invitation to your organization."),
    roles=PRIVILEGED_ROLES,
    on_for=PRIVILEGED_ROLES,
)


def recipients(organization: Organization, topic: Topic) -> QuerySet[Membership]:
    """Return the members with active accounts who get the emails of `topic`."""
    chosen = NotificationChoice.objects.filter(membership=OuterRef("pk"), topic=topic.name)
    on, off = Exists(chosen.filter(enabled=True)), Exists(chosen.filter(enabled=False))
    return active_members(organization, *topic.roles).filter(on | (Q(role__in=topic.on_for) & ~off))


def enabled_topics(caller: Caller, topics: Iterable[Topic]) -> dict[str, bool]:
    """Return the topics that the member may choose, by name, and whether each is on."""
    assert caller.membership_id is not None
    stored = NotificationChoice.objects.filter(membership_id=caller.membership_id).values_list("topic", "enabled")
    chosen = dict(stored)
    return {topic.name: chosen.get(topic.name, caller.role in topic.on_for) for topic in topics if caller.role in topic.roles}


def choose_topics(caller: Caller, topics: Collection[Topic], enabled: Collection[str]) -> None:
    """Turn the topics named in `enabled` on for this member, and the others of `topics` off. Topics of other roles are ignored."""
    assert caller.membership_id is not None
    with transaction.atomic():
        # Two forms of one member are saved one after the other.
        member = Membership.objects.select_for_update(no_key=True, of=("self",)).select_related("user").get(pk=caller.membership_id)
        before = enabled_topics(caller, topics)
        after = {name: name in enabled for name in before}
        if after == before:
            return
        rows = [NotificationChoice(membership=member, topic=name, enabled=value) for name, value in after.items()]
        NotificationChoice.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["membership", "topic"], update_fields=["enabled"]
        )
        audit.record(
            "member.notifications_changed",
            organization=caller.organization,
            actor=caller,
            target=member.user.email,
            before=before,
            after=after,
        )


def settings_url(organization_id: UUID) -> str:
    """Return the address of the page on which a member of the organization chooses topics."""
    return f"{settings.PUBLIC_URL}/account/settings/notifications/?organization={organization_id}"


def optional(content: EmailContent, organization_id: UUID) -> EmailContent:
    """Return the content of an optional email, with a link to the page where its recipient can turn it off."""
    return replace(content, unsubscribe=settings_url(organization_id))
