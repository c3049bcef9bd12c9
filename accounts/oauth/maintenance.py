"""Delete expired and unused data of OAuth clients."""

from datetime import timedelta

from allauth.idp.oidc.models import Client
from django.db.models import Q

from accounts.models import OAuthGrant, OAuthToken
from contextmcp.common.clock import now

# Ended grants stay visible to staff for a month. The audit log keeps them permanently.
ENDED_RETENTION = timedelta(days=30)
# Registration needs no credential. A client that no user connected for a month is not used.
UNUSED_CLIENT_RETENTION = timedelta(days=30)
UNREDEEMED_RETENTION = timedelta(hours=1)


def purge() -> None:
    """Delete expired tokens, ended grants, and clients that no user has connected."""
    present = now()
    OAuthToken.objects.filter(expires_at__lt=present).delete()
    ended = Q(revoked_at__lt=present - ENDED_RETENTION)
    never_used = Q(redeemed_at=None, created_at__lt=present - UNREDEEMED_RETENTION)
    # A grant ends when its last refresh token has expired.
    idle = Q(revoked_at=None, redeemed_at__isnull=False, tokens=None)
    OAuthGrant.objects.filter(ended | never_used | idle).delete()
    Client.objects.filter(created_at__lt=present - UNUSED_CLIENT_RETENTION).exclude(pk__in=OAuthGrant.objects.values("client_id")).delete()
