"""Connect apps, exchange their codes and refresh tokens, and disconnect them.

A code and a refresh token work once. If one is used again, two parties have it, and the grant ends (OAuth 2.1, 4.1.3 and 4.3.1).
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from accounts import audit, invalidation, key_emails
from accounts.models import Membership, OAuthGrant, OAuthToken, User
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import NotFound

from . import token_format
from .errors import AppDisconnected

CODE_LIFETIME = timedelta(seconds=60)
# Lifetime of a refresh token since its last use. After that, the user must connect the client again.
REFRESH_LIFETIME = timedelta(days=90)
# A client that did not receive the response repeats its request immediately, and a client with several windows sends the request from each
# of them. Within this time the repetition is refused without ending the grant.
REUSE_TOLERANCE = timedelta(seconds=30)
# Retention of replaced refresh tokens, by which their reuse is detected.
REPLACED_RETENTION = timedelta(days=7)


@dataclass(frozen=True)
class Consent:
    """What a user agreed to on the consent page."""

    membership: Membership
    client_id: str
    client_name: str
    scopes: list[str]
    resources: list[str]
    redirect_uri: str
    code_challenge: str
    nonce: str


@dataclass(frozen=True)
class NewTokens:
    """The text of new tokens, which is not stored, and the scopes and MCP servers of the access token."""

    access: str
    refresh: str
    scopes: list[str]
    resources: list[str]


def connect(consent: Consent, code: str) -> OAuthGrant:
    """Store a grant with the digest of its authorization code."""
    membership = consent.membership
    with transaction.atomic():
        grant = OAuthGrant.objects.create(
            membership=membership,
            client_id=consent.client_id,
            client_name=consent.client_name,
            scopes=consent.scopes,
            resources=consent.resources,
            redirect_uri=consent.redirect_uri,
            code_challenge=consent.code_challenge,
            nonce=consent.nonce,
            code_digest=token_format.digest(code),
            code_expires_at=now() + CODE_LIFETIME,
        )
        audit.record(
            "app.connected",
            organization=membership.organization,
            actor=Caller.member(membership),
            target=grant.client_name,
            after={"grant": str(grant.pk), "client": grant.client_id, "scopes": grant.scopes, "resources": grant.resources},
        )
        key_emails.send_app_connected(grant)
    return grant


def find_code(client_id: str, code: str) -> OAuthGrant | None:
    """Return the locked grant of an authorization code that this client may exchange now, or None. Ends the grant if the code was used."""
    grant = _locked(OAuthGrant.objects.filter(code_digest=token_format.digest(code), client_id=client_id))
    if grant is None or not is_active(grant):
        return None
    if grant.redeemed_at is not None:
        _end(grant, None, "The authorization code was used twice.")
        return None
    return grant if now() < grant.code_expires_at else None


def scopes_of_code(code: str) -> list[str]:
    """Return the scopes of an authorization code, or none if there is no such code."""
    return OAuthGrant.objects.filter(code_digest=token_format.digest(code)).values_list("scopes", flat=True).first() or []


def find_refresh_token(client_id: str, raw: str) -> OAuthToken | None:
    """Return a refresh token of this client with its locked grant, or None. Ends the grant if the token was replaced before."""
    digest = token_format.digest(raw)
    grant = _locked(OAuthGrant.objects.filter(tokens__digest=digest, tokens__kind=OAuthToken.Kind.REFRESH, client_id=client_id))
    if grant is None or not is_active(grant):
        return None
    # The token is read after the lock is taken, so that the second of two concurrent requests sees the changes of the first.
    token = OAuthToken.objects.get(digest=digest)
    token.grant = grant
    present = now()
    if token.replaced_at is not None and present >= token.replaced_at + REUSE_TOLERANCE:
        _end(grant, None, "A refresh token was used twice.")
    return token if token.is_current(present) else None


def issue_tokens(grant: OAuthGrant, tokens: NewTokens, *, replaces: OAuthToken | None = None) -> None:
    """Store new tokens of a locked grant.

    `replaces` is the refresh token that was exchanged for them. It is None if the authorization code was exchanged.
    """
    present = now()
    if replaces is None:
        grant.redeemed_at = present
        grant.save(update_fields=["redeemed_at"])
    else:
        replaces.replaced_at, replaces.expires_at = present, min(replaces.expires_at, present + REPLACED_RETENTION)
        replaces.save(update_fields=["replaced_at", "expires_at"])
    OAuthToken.objects.bulk_create(
        [
            OAuthToken(
                grant=grant,
                kind=OAuthToken.Kind.ACCESS,
                digest=token_format.digest(tokens.access),
                scopes=tokens.scopes,
                resources=tokens.resources,
                expires_at=present + timedelta(seconds=settings.IDP_OIDC_ACCESS_TOKEN_EXPIRES_IN),
            ),
            # The refresh token is for the whole grant, although the access token may have fewer scopes (RFC 6749, 6).
            OAuthToken(
                grant=grant,
                kind=OAuthToken.Kind.REFRESH,
                digest=token_format.digest(tokens.refresh),
                scopes=grant.scopes,
                resources=grant.resources,
                expires_at=present + REFRESH_LIFETIME,
            ),
        ]
    )


def find_access_token(raw: str) -> OAuthToken | None:
    """Return a valid access token with its grant, membership, organization and user, or None."""
    related = ["grant__membership__organization", "grant__membership__user"]
    token = OAuthToken.objects.select_related(*related).filter(digest=token_format.digest(raw), kind=OAuthToken.Kind.ACCESS).first()
    return token if token is not None and token.is_current(now()) and is_active(token.grant) else None


def is_active(grant: OAuthGrant) -> bool:
    """Return whether the grant is not revoked, its organization is open, and its user is active."""
    membership = grant.membership
    return grant.revoked_at is None and membership.organization.closed_at is None and membership.user.is_active


def revoke_token(client_id: str, raw: str) -> None:
    """Revoke a token (RFC 7009). A refresh token ends its whole grant, an access token only itself. Idempotent."""
    with transaction.atomic():
        digest = token_format.digest(raw)
        grant = _locked(OAuthGrant.objects.filter(tokens__digest=digest, client_id=client_id))
        if grant is None:
            return
        if OAuthToken.objects.filter(digest=digest, kind=OAuthToken.Kind.ACCESS).exists():
            OAuthToken.objects.filter(digest=digest).delete()
            invalidation.notify_now()
        elif grant.revoked_at is None:
            _end(grant, None, "The app signed out.")


def connections(actor: Caller) -> QuerySet[OAuthGrant]:
    """Return the connected apps that the actor may see and disconnect: their own, and with users:manage also the organization's."""
    assert actor.user is not None
    mine = Q(membership__user=actor.user, membership__organization__closed_at=None)
    if "users:manage" in actor.permissions:
        mine |= Q(membership__organization=actor.organization)
    connected = OAuthGrant.objects.filter(mine, revoked_at=None, redeemed_at__isnull=False)
    return connected.select_related("membership__organization", "membership__user")


def disconnect(actor: Caller, grant_id: UUID) -> None:
    """End a grant in all processes within a second. Raises `NotFound`. Idempotent."""
    with transaction.atomic():
        grant = _locked(connections(actor).filter(pk=grant_id))
        if grant is None:
            raise NotFound
        _end(grant, actor, "")


def disconnect_by_staff(grant: OAuthGrant, actor: User, reason: str) -> None:
    """End a grant in all processes within a second. Raises `AppDisconnected` if it has ended before."""
    with transaction.atomic():
        row = _locked(OAuthGrant.objects.filter(pk=grant.pk))
        if row is None or row.revoked_at is not None:
            raise AppDisconnected
        _end(row, actor, reason)


def _locked(grants: QuerySet[OAuthGrant]) -> OAuthGrant | None:
    related = grants.select_related("membership__organization", "membership__user")
    return related.select_for_update(of=("self",), no_key=True).first()


def _end(grant: OAuthGrant, actor: Caller | User | None, reason: str) -> None:
    grant.revoked_at = now()
    grant.save(update_fields=["revoked_at"])
    audit.record(
        "app.disconnected",
        organization=grant.membership.organization,
        actor=actor,
        target=grant.client_name,
        before={"grant": str(grant.pk), "client": grant.client_id, "user": grant.membership.user.email, "scopes": grant.scopes},
        reason=reason,
    )
    invalidation.notify_now()
