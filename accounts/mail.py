"""Letters of the identity layer."""

import logging

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from contextmcp.common.clock import now

from .models import Invitation

log = logging.getLogger(__name__)


def send_invitation(invitation: Invitation, token: str) -> None:
    """Send the link. A mail server that fails leaves `sent_at` empty; the invitation stands and can be resent."""
    context = {
        "invitation": invitation,
        "organization": invitation.organization,
        "inviter": invitation.invited_by.get_full_name() if invitation.invited_by else invitation.organization.name,
        "link": f"{settings.PUBLIC_URL}/invitations/{token}/",
    }
    letter = EmailMultiAlternatives(
        # A line break in a name must not become a header.
        subject=" ".join(f"Join {invitation.organization.name} on ContextMCP".split()),
        body=render_to_string("accounts/mail/invitation.txt", context),
        to=[invitation.email],
    )
    letter.attach_alternative(render_to_string("accounts/mail/invitation.html", context), "text/html")
    try:
        letter.send()
    except OSError as error:  # SMTP's own exceptions are OSErrors too.
        log.error("the invitation %s could not be mailed: %s", invitation.pk, type(error).__name__)
        return
    invitation.sent_at = now()
    Invitation.objects.filter(pk=invitation.pk).update(sent_at=invitation.sent_at)
