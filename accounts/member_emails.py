"""The optional email about a member who joined."""

from django.conf import settings
from django.utils.translation import gettext

from contextmcp.common.emails import EmailContent, send_email
from contextmcp.common.locale import localized_for

from . import notifications
from .emails import display_name
from .models import Membership, Organization
from .roles import PRIVILEGED_ROLES, Role

MEMBER_JOINED = "member_joined"


def send_member_joined(member: Membership) -> None:
    """Notify the members who get such emails. Owners who are notified of a new owner or admin get no second email."""
    organization: Organization = member.organization
    others = notifications.recipients(organization, notifications.MEMBERS).exclude(pk=member.pk)
    if member.role in PRIVILEGED_ROLES:
        others = others.exclude(role=Role.OWNER)
    for other in others.select_related("user"):
        with localized_for(other.user):
            content = notifications.optional(member_joined_content(member), organization.pk)
            send_email(content, to=other.user.email, category=MEMBER_JOINED, reference=member.pk, organization_id=organization.pk)


def member_joined_content(member: Membership) -> EmailContent:
    """Return the notice that a member joined."""
    name = display_name(member.organization.name)
    return EmailContent(
        title=gettext("%(member)s joined “%(organization)s”") % {"member": member.user.email, "organization": name},
        paragraphs=(
            gettext("%(member)s accepted the invitation and joined with the role “%(role)s”.")
            % {"member": member.user.email, "role": Role(member.role).label},
        ),
        label=gettext("View members"),
        link=f"{settings.PUBLIC_URL}/account/team/",
        note=gettext("You receive this email as a member of %(organization)s.") % {"organization": name},
    )
