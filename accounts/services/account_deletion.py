"""Delete a user's own account.

The row of the user is kept without personal data, because the audit log references it and cannot be changed.
"""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext

from accounts import audit
from accounts.errors import OnlyOwner, StaffAccountNotDeletable
from accounts.models import Membership, Organization, User
from accounts.roles import Role
from accounts.types import Caller
from contextmcp.common.emails import EmailContent, send_email
from contextmcp.common.locale import localized_for

from . import members, users

ACCOUNT_DELETED = "account_deleted"
DELETED_NAME = "Deleted user"


def owned_alone(user: User) -> list[Organization]:
    """Return the open organizations whose only owner is the user, by name. They must get another owner or be closed first."""
    owned = Membership.objects.filter(user=user, role=Role.OWNER, organization__closed_at=None).values("organization_id")
    others = Membership.objects.filter(role=Role.OWNER, organization_id__in=owned).exclude(user=user).values("organization_id")
    return list(Organization.objects.filter(pk__in=owned).exclude(pk__in=others).order_by("name", "id"))


def delete_account(user: User) -> None:
    """End everything by which the user has access, erase their personal data, and notify their address.

    They leave their organizations, as when they leave each of them: their API keys are disabled until another member takes them over.

    Raises:
        OnlyOwner: an open organization would have no owner.
        StaffAccountNotDeletable: the user is staff.
    """
    if user.is_staff or user.is_superuser:
        raise StaffAccountNotDeletable
    if alone := owned_alone(user):
        raise OnlyOwner(organizations=[organization.name for organization in alone])
    with transaction.atomic():
        row = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if not row.is_active:
            return
        for member in Membership.objects.select_related("organization", "user").filter(user=row, organization__closed_at=None):
            # Under the organization's lock, this raises `LastOwner` if the other owners left in the meantime.
            members.remove(member.organization, Caller.member(member), member.pk)
        Membership.objects.filter(user=row).delete()
        Authenticator.objects.filter(user=row).delete()
        EmailAddress.objects.filter(user=row).delete()
        for session in UserSession.objects.filter(user=row):
            session.end()
        address = row.email
        with localized_for(row):
            send_email(_confirmation(address), to=address, category=ACCOUNT_DELETED)
        _erase(row)
        users.end_sessions(row)
        audit.record("user.deleted", organization=None, actor=row, target=row.email)


def _erase(row: User) -> None:
    row.email, row.name, row.language, row.time_zone = f"{row.pk}@deleted.invalid", DELETED_NAME, "", ""
    row.is_active = False
    row.set_unusable_password()
    row.save(update_fields=["email", "name", "language", "time_zone", "is_active", "password"])


def _confirmation(address: str) -> EmailContent:
    return EmailContent(
        title=gettext("Your %(product)s account was deleted") % {"product": settings.PRODUCT_NAME},
        paragraphs=(
            gettext("The account of %(address)s was deleted. It can't be used to sign in any more.") % {"address": address},
            gettext("You can sign up again with this address at any time."),
        ),
        note=gettext("If you did not do this, reply to this message immediately."),
    )
