"""Search organizations, members, users and invitations."""

from collections.abc import Iterable

from allauth.account.models import EmailAddress
from django.contrib.postgres.search import SearchQuery
from django.db.models import Exists, OuterRef, Q

from accounts.models import Invitation, Membership, Organization, User
from accounts.models.organizations import NAME_WORDS
from contextmcp.common.admin_links import object_url

from .query import Query
from .results import Hit, Resolver, organization_hit, row_hit


def _organizations(query: Query, start: int, stop: int) -> Iterable[Hit]:
    if query.uuid:
        rows = Organization.objects.filter(pk=query.uuid)
    elif query.name:
        found = Q(name__istartswith=query.name) | Q(slug__startswith=query.name)
        if query.words:
            words = SearchQuery(" & ".join(f"{word}:*" for word in query.words), search_type="raw", config="simple")
            found |= Q(name_words=words)
        if "@" in query.name:
            found |= Q(email__istartswith=query.name)
        rows = Organization.objects.alias(name_words=NAME_WORDS).filter(found)
    else:
        return
    for organization in rows.order_by("name", "id")[start:stop]:
        yield organization_hit(organization, f"{organization.slug}, {organization.email}")


def _user_ids(query: Query, stop: int) -> list[int]:
    """Return the users whose address begins with the query, or who have it as an additional address: at most `stop` of each."""
    if not query.email:
        return []
    user_ids = list(User.objects.filter(email__startswith=query.email).values_list("pk", flat=True)[:stop])
    if "@" in query.email:
        user_ids += EmailAddress.objects.filter(email=query.email).values_list("user_id", flat=True)[:stop]
    return user_ids


def _members(query: Query, start: int, stop: int) -> Iterable[Hit]:
    rows = Membership.objects.filter(pk=query.uuid) if query.uuid else Membership.objects.filter(user__in=_user_ids(query, stop))
    for member in rows.select_related("organization", "user").order_by("user__email", "created_at", "id")[start:stop]:
        yield organization_hit(member.organization, f"{member.role}: {member.user.email}")


def _accounts(query: Query, start: int, stop: int) -> Iterable[Hit]:
    users = User.objects.filter(pk__in=_user_ids(query, stop)).annotate(is_member=Exists(Membership.objects.filter(user=OuterRef("pk"))))
    for user in users.order_by("email")[start:stop]:
        details = ", ".join(each for each in (user.name, "" if user.is_active else "inactive") if each)
        yield Hit(user.email, details, object_url(user), is_secondary=user.is_member)


def _invitations(query: Query, start: int, stop: int) -> Iterable[Hit]:
    if query.uuid:
        rows = Invitation.objects.filter(pk=query.uuid)
    elif "@" in query.email:
        rows = Invitation.objects.filter(email__startswith=query.email)
    else:
        return
    for invitation in rows.select_related("organization").order_by("email", "-created_at", "-id")[start:stop]:
        state = "accepted" if invitation.accepted_at else "revoked" if invitation.revoked_at else "open"
        yield row_hit(invitation, invitation.email, str(invitation.organization), state)


RESOLVERS = [
    Resolver("organizations", "Organizations", "accounts.view_organization", _organizations),
    Resolver("members", "Organizations of members", "accounts.view_membership", _members),
    Resolver("users", "Users", "accounts.view_user", _accounts),
    Resolver("invitations", "Invitations", "accounts.view_invitation", _invitations),
]
