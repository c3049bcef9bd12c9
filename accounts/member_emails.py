"""The optional email about a member who joined."""

from django.conf import settings
from django.utils.translation import gettext

from contextmcp.common.emails import EmailContent, send_email

from . import notifications
from .emails import display_name
from .models import Membership, Organization
from .roles import PRIVILEGED_ROLES, Role

MEMBER_JOINED = "member_joined"


def send_member_joined(member: Membership) -> None:
    """Notify the members who get such emails. Owners who are notified of a new owner or admin get no second email."""
    organization: Organization = member.organization
    name = display_name(organization.name)
    content = EmailContent(
        title=gettext("%(member)s joined “%(organization)s”") % {"member": member.user.email, "organization": name},
        paragraphs=(
            gettext("%(member)s accepted the invitation and joined with the role %(role)s.")
            % {"member": member.user.email, "role": Role(member.role).label},
        ),
        label=gettext("View members"),
        link=f"{settings.PUBLIC_URL}/account/team/",
        note=gettext("You receive this email as a member of %(organization)s.") % {"organization": name},
    )
    content = notifications.optional(content, organization.pk)
    others = notifications.recipients(organization, notifications.MEMBERS).exclude(pk=member.pk)
    if member.role in PRIVILEGED_ROLES:
        others = others.exclude(role=Role.OWNER)
    for address in others.values_list("user__email", flat=True):
        send_email(content, to=address, category=MEMBER_JOINED, reference=member.pk, organization_id=organization.pk)
