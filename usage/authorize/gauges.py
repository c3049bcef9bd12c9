"""Build the commands that set or decrease a gauge. `build` makes the commands that increase one."""

from datetime import datetime

from entitlements.types import Entitlements, Kind
from usage.types import AuthorizeCommand, GaugeDecrease, ServiceContext, SetGauge, UsageSubject

from . import fingerprints
from .build import DERIVED_FEATURES
from .requests import validation_error


def _require_gauge(entitlements: Entitlements, feature: str) -> int | None:
    """Return the gauge's limit (None: unlimited). Raise `ValidationFailed` if the feature is not a gauge or its value is derived."""
    entitlement = entitlements.require(feature)
    if entitlement.kind is not Kind.GAUGE:
        raise validation_error("feature", f"{feature} is not a gauge.")
    if feature in DERIVED_FEATURES:
        raise validation_error("feature", f"{feature} is calculated and cannot be set.")
    return entitlement.limit


def build_gauge_setting(
    subject: UsageSubject, entitlements: Entitlements, feature: str, value: int, *, service: ServiceContext | None = None
) -> SetGauge:
    """Build the command that sets a gauge to `value` (units in use).

    The command may exceed the gauge's limit, because the caller reports units that are already in use.
    """
    return SetGauge(subject, feature, value, _require_gauge(entitlements, feature), service)


def build_gauge_decrease(
    subject: UsageSubject,
    entitlements: Entitlements,
    feature: str,
    amount: int,
    *,
    at: datetime,
    key: str | None = None,
    service: ServiceContext | None = None,
) -> AuthorizeCommand:
    """Build the command that decreases a gauge by `amount`. Deciding it fails with `ReleaseExceedsUsage` if less is in use."""
    item = GaugeDecrease(feature, amount, _require_gauge(entitlements, feature), entitlements.features[feature].failure_mode)
    digest = None if key is None else fingerprints.key_digest(key)
    fingerprint = fingerprints.request_fingerprint([(feature, amount)], "\nrelease")
    return AuthorizeCommand(subject, at, [item], True, fingerprint, digest, service=service)
