"""The names of people, keys and apps in sentences, queried once per page."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from django.conf import settings

from accounts.models import ApiKey, AuditEvent, Invitation, Membership, OAuthGrant, User

from .types import Query


@dataclass
class References:
    """The objects to which the rows of a page refer. `keys` are IDs of API keys and connected apps."""

    users: dict[int, User] = field(default_factory=dict)
    keys: set[UUID] = field(default_factory=set)


class Names:
    """Names for one audience.

    Customers see people who never belonged to the organization as "Support of ...", without their names. The name of a key is shown only to
    those who may see the key.
    """

    def __init__(self, query: Query, references: References) -> None:
        self._query, self._references = query, references

    def person(self, user: User) -> str:
        """Return a person's name. For staff, the roles of colleagues follow it."""
        if not self._query.for_staff:
            return user.get_full_name() if user.pk in self._people else f"Support of {settings.PRODUCT_NAME}"
        return f"{user.get_full_name()} ({self._roles.get(user.pk, 'staff')})" if user.is_staff else user.get_full_name()

    def key(self, key_id: UUID) -> str:
        """Return the name of a key or connected app with its noun ("key CI"); empty if it is unknown or may not be seen."""
        if key := self._keys.get(key_id):
            return f"key {key.name}" if self._query.own in (None, key.created_by_id) else ""
        if app := self._apps.get(key_id):
            return f"app {app.client_name}" if self._query.own in (None, app.membership.user_id) else ""
        return ""

    def key_name(self, key_id: UUID) -> str:
        """Return the name of an API key; empty if it is unknown or may not be seen."""
        return self.key(key_id).removeprefix("key ")

    @cached_property
    def _people(self) -> set[int]:
        """Return the IDs of the page's users who are or were members of the organization."""
        organization, users = self._query.organization, set(self._references.users)
        people = set(Membership.objects.filter(organization=organization, user_id__in=users).values_list("user_id", flat=True))
        if others := users - people:
            accepted = Invitation.objects.filter(organization=organization, accepted_by_id__in=others)
            people.update(accepted.values_list("accepted_by_id", flat=True))
            # The founder was not invited. The oldest event of an organization is its creation.
            first = AuditEvent.objects.filter(organization=organization).order_by("created_at", "id").first()
            if first and first.action == "organization.created" and first.actor_user_id in others:
                people.add(first.actor_user_id)
        return people

    @cached_property
    def _roles(self) -> dict[int, str]:
        staff = {pk: user for pk, user in self._references.users.items() if user.is_staff}
        roles: dict[int, list[str]] = {}
        for pk, role in User.groups.through.objects.filter(user_id__in=staff).order_by("group__name").values_list("user_id", "group__name"):
            roles.setdefault(pk, []).append(role)
        return {pk: "owner" if user.is_superuser else ", ".join(roles.get(pk, ["staff"])) for pk, user in staff.items()}

    @cached_property
    def _keys(self) -> dict[UUID, ApiKey]:
        return {key.pk: key for key in ApiKey.objects.filter(organization=self._query.organization, pk__in=self._references.keys)}

    @cached_property
    def _apps(self) -> dict[UUID, OAuthGrant]:
        unknown = self._references.keys - self._keys.keys()
        if not unknown:
            return {}
        grants = OAuthGrant.objects.filter(membership__organization=self._query.organization, pk__in=unknown)
        return {grant.pk: grant for grant in grants.select_related("membership")}


def enumerate_words(words: Iterable[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
