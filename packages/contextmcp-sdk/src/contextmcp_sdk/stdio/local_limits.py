"""Limits that are enforced on this machine while the service cannot be reached."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import datetime

from contextmcp_sdk.entitlements_token import OfflineEntitlements
from contextmcp_sdk.refusals import QuotaExceeded, RateLimited


class RateWindow:
    """A sliding window for each rate limit: at most `limit` calls in any `window_seconds`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._calls: dict[str, deque[float]] = {}

    def acquire(self, feature: str, limit: int | None, window_seconds: float) -> None:
        """Count a call. Raises `RateLimited` if the window is full. A limit of None is unlimited."""
        if limit is None:
            return
        calls, now = self._calls.setdefault(feature, deque()), self._clock()
        while calls and calls[0] <= now - window_seconds:
            calls.popleft()
        if len(calls) >= limit:
            wait = max(1, round(calls[0] + window_seconds - now + 0.5)) if calls else int(window_seconds)
            raise RateLimited.locally(feature=feature, limit=limit, remaining=0, retryAfter=wait)
        calls.append(now)


class RemainingUnits:
    """The units that are left of each quota: as many as the service reported last, or the limit of the plan if it has not reported yet."""

    def __init__(self) -> None:
        # The units that are left, and when the quota resets, by feature.
        self._known: dict[str, tuple[int | None, datetime | None]] = {}

    def learn(self, feature: str, remaining: int | None, resets_at: datetime | None) -> None:
        """Store the values of a response. `remaining` of None is unlimited."""
        self._known[feature] = (remaining, resets_at)

    def counted(self, feature: str, amount: int) -> None:
        """Subtract units that the service has counted since its last response."""
        remaining, resets_at = self._known.get(feature, (None, None))
        if remaining is not None:
            self._known[feature] = (max(0, remaining - amount), resets_at)

    def require(self, entitlements: OfflineEntitlements, feature: str, amount: int, pending: int, at: datetime) -> None:
        """Raise `QuotaExceeded` if less than `amount` is left. `pending` units are used here and not yet counted by the service."""
        limit = entitlements.features[feature].limit
        remaining, resets_at = self._known.get(feature, (limit, None))
        if resets_at is not None and at >= resets_at:
            remaining, resets_at = limit, None
        if remaining is not None and amount > remaining - pending:
            raise QuotaExceeded.locally(
                feature=feature,
                limit=limit,
                remaining=max(0, remaining - pending),
                resetsAt=(resets_at or entitlements.period.end).isoformat().replace("+00:00", "Z"),
                upgradeUrl=entitlements.upgrade_url,
            )
