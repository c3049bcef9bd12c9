"""The entitlements token: a signed document with which the vendor's software applies a plan without a call to this server.

Names of claims are in camelCase like the fields of the API, except for the registered claims of RFC 7519.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from msgspec import Struct

from accounts.models import Organization
from contextmcp.common import signing
from contextmcp.common.api import json_default
from contextmcp.common.clock import now

from .manager import EntitlementsManager
from .periods import month_period
from .types import RATE_WINDOW_SECONDS, FeatureEntitlement, Kind

# The value of the header `typ`, which verifiers check.
TOKEN_TYPE = "entitlements+jwt"  # noqa: S105 - a media type, no secret


class EntitlementsToken(Struct, frozen=True):
    """A signed token, its expiration, and the time until which software that cannot reach this server may continue to use it."""

    token: str
    expires_at: datetime
    grace_until: datetime


def issue_token(organization: Organization) -> EntitlementsToken:
    """Sign the organization's current entitlements.

    The token expires after ENTITLEMENTS_TOKEN_MINUTES and its grace ends ENTITLEMENTS_TOKEN_GRACE_HOURS later, but both end no later than
    the next scheduled change of the entitlements, such as the end of a trial.

    Raises:
        SigningNotConfigured: SIGNING_KEY is empty.
    """
    entitlements = EntitlementsManager(organization).entitlements()
    real, at = now(), now(organization)
    expires_at = real + timedelta(minutes=settings.ENTITLEMENTS_TOKEN_MINUTES)
    grace_until = expires_at + timedelta(hours=settings.ENTITLEMENTS_TOKEN_GRACE_HOURS)
    if entitlements.changes_at is not None:
        # `changes_at` is in the organization's time, which a test clock may shift. The software that uses the token has only real time.
        change = entitlements.changes_at - (at - real)
        expires_at, grace_until = min(expires_at, change), min(grace_until, change)
    # JWT times are whole seconds.
    issued, expires_at, grace_until = (moment.replace(microsecond=0) for moment in (real, expires_at, grace_until))
    period = month_period(entitlements.anchor, at)
    claims = {
        "sub": str(organization.pk),
        "grace": int((grace_until - expires_at).total_seconds()),
        "active": entitlements.active,
        "plan": entitlements.plan,
        "planVersion": entitlements.plan_version,
        "planTitle": entitlements.plan_title,
        "source": entitlements.source.value,
        "period": {"start": json_default(period.start), "end": json_default(period.end)},
        "features": {name: _feature_claims(entitlement) for name, entitlement in entitlements.features.items()},
        "upgradeUrl": f"{settings.PUBLIC_URL}/pricing/",
    }
    token = signing.sign(claims, max(timedelta(0), expires_at - issued), token_type=TOKEN_TYPE)
    return EntitlementsToken(token, expires_at, grace_until)


def _feature_claims(entitlement: FeatureEntitlement) -> dict[str, Any]:
    claims = {
        "kind": entitlement.kind.value,
        "enabled": entitlement.enabled,
        "limit": entitlement.limit,
        "failureMode": entitlement.failure_mode,
    }
    return claims | {"windowSeconds": RATE_WINDOW_SECONDS} if entitlement.kind is Kind.RATE_LIMIT else claims
