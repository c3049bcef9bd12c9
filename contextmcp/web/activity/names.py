"""The names of people, keys and apps in sentences, queried once per page."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.models import ApiKey, AuditEvent, Invitation, Membership, OAuthGrant, User
from usage.models import NO_KEY

from .types import Query


@dataclass
class References:
    """The objects to which the rows of a page refer. `keys` are IDs of API keys and connected apps.

    `known_keys` and `members` (IDs of users) were read before.
    """

    users: dict[int, User] = field(default_factory=dict)
    keys: set[UUID] = field(default_factory=set)
    known_keys: Mapping[UUID, ApiKey] = field(default_factory=dict)
    members: Set[int] = frozenset()


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

    def credential(self, key_id: UUID) -> str:
        """Return the name of a key or connected app in quotation marks ("key “CI”"); empty if it is unknown or may not be seen."""
        if (key := self._keys.get(key_id)) and self._query.own in (None, key.created_by_id):
            return _("key “%(name)s”") % {"name": key.name}
        if (app := self._apps.get(key_id)) and self._query.own in (None, app.membership.user_id):
            return _("app “%(name)s”") % {"name": app.client_name}
        return ""

    def key_name(self, key_id: UUID) -> str:
        """Return the name of an API key; empty if it is unknown or may not be seen."""
        return self.key(key_id).removeprefix("key ")

    @cached_property
    def _people(self) -> set[int]:
        """Return the IDs of the page's users who are or were members of the organization."""
        organization, users = self._query.organization, set(self._references.users)
        people = users & self._references.members
        if others := users - people:
            people.update(Membership.objects.filter(organization=organization, user_id__in=others).values_list("user_id", flat=True))
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
        found = {pk: key for pk, key in self._references.known_keys.items() if pk in self._references.keys}
        if others := self._references.keys - found.keys() - {NO_KEY}:
            found |= {key.pk: key for key in ApiKey.objects.filter(organization=self._query.organization, pk__in=others)}
        return found

    @cached_property
    def _apps(self) -> dict[UUID, OAuthGrant]:
        unknown = self._references.keys - self._keys.keys() - {NO_KEY}
        if not unknown:
            return {}
        grants = OAuthGrant.objects.filter(membership__organization=self._query.organization, pk__in=unknown)
        return {grant.pk: grant for grant in grants.select_related("membership")}


def enumerate_words(words: Iterable[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
