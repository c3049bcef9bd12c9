"""Sliding-window rate limits in Valkey: a number of units in any 60 seconds, per organization and optionally per API key.

This module builds the arguments of the scripts and parses their replies. `usage.operations.rates` runs the scripts.

A window is 31 slots of two seconds in one small string. The oldest slot, which has partly expired, still counts in full, so no period of
60 seconds ever exceeds the limit. One script checks all windows of a call and consumes from all of them or none. The script uses Valkey's
clock, so clock differences between processes have no effect. Windows use real time, also for organizations with a test clock.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from msgspec import Struct

from contextmcp.common import valkey
from entitlements.types import RATE_WINDOW_SECONDS
from usage.errors import RateLimited, TemporarilyUnavailable
from usage.types import KEYLESS, Rate, UsageSubject

SLOTS = 30
SLOT_MS = RATE_WINDOW_SECONDS * 1000 // SLOTS
_HEAD = """
local ring, width = tonumber(ARGV[1]) + 1, tonumber(ARGV[2])
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local slot = math.floor(ms / width)
local form = '>I8' .. string.rep('I4', ring + 1)
-- A state is {last slot, total, count of each slot of the ring}.
local function read(key)
  local raw = redis.call('GET', key)
  local state
  if raw and #raw == 4 * (ring + 3) then
    state = {struct.unpack(form, raw)}
  else
    state = {slot, 0}
    for i = 3, ring + 2 do state[i] = 0 end
  end
  if slot > state[1] then
    for old = math.max(state[1] + 1, slot - ring + 1), slot do
      local i = old % ring + 3
      state[2] = state[2] - state[i]
      state[i] = 0
    end
    state[1] = slot
  end
  return state
end
local function write(key, state)
  redis.call('SET', key, struct.pack(form, unpack(state, 1, ring + 2)), 'PX', (ring + 1) * width)
end
"""
ACQUIRE_SCRIPT = (
    _HEAD
    + """
-- A call may name a rate more than once; then the sum is consumed.
local states, sums = {}, {}
for n, key in ipairs(KEYS) do
  local amount, limit = tonumber(ARGV[1 + 2 * n]), tonumber(ARGV[2 + 2 * n])
  local state, before = states[key] or read(key), sums[key] or 0
  if state[2] + before + amount > limit then
    local wait, left = -1, state[2] + before
    if before + amount <= limit then
      for old = state[1] - ring + 1, state[1] do
        left = left - state[old % ring + 3]
        if left + amount <= limit then wait = (old + ring) * width - ms break end
      end
    end
    return {0, n, state[2], wait}
  end
  states[key], sums[key] = state, before + amount
end
local answer = {1, slot}
for n, key in ipairs(KEYS) do
  local amount, state = tonumber(ARGV[1 + 2 * n]), states[key]
  local i = slot % ring + 3
  state[2] = state[2] + amount
  state[i] = state[i] + amount
  if amount > 0 then write(key, state) end
  answer[n + 2] = state[2]
end
return answer
"""
)
RELEASE_SCRIPT = (
    _HEAD
    + """
local acquired = tonumber(ARGV[3])
for n, key in ipairs(KEYS) do
  local state = read(key)
  if acquired > state[1] - ring then
    local i = acquired % ring + 3
    local back = math.min(tonumber(ARGV[3 + n]), state[i])
    state[2] = state[2] - back
    state[i] = state[i] - back
    write(key, state)
  end
end
return 1
"""
)


class RateWindow(Struct):
    """One window of a call. `scope` is `organization` or `key`; `limit` is in units per 60 seconds."""

    name: str
    rate: Rate
    limit: int
    scope: str


class RatePermit(Struct):
    """Acquired windows, to be released if the call is refused for another reason."""

    windows: list[RateWindow]
    slot: int


def windows(subject: UsageSubject, rates: list[Rate]) -> list[RateWindow]:
    """Return all windows of a call.

    A key has its own windows only if RATE_LIMIT_KEY_PERCENT, the part of the limit that one key can use, is below 100. At 100, the limit of
    the organization is always reached first.
    """
    percent = settings.RATE_LIMIT_KEY_PERCENT
    result = []
    for rate in rates:
        if rate.limit is None:
            continue
        result.append(RateWindow(_name(subject.organization, rate.feature), rate, rate.limit, "organization"))
        if subject.key != KEYLESS and percent < 100:
            limit = max(1, rate.limit * percent // 100)
            result.append(RateWindow(_name(subject.organization, rate.feature, subject.key), rate, limit, "key"))
    return result


@lru_cache(100_000)
def _name(organization: bytes, feature: str, *key: bytes) -> str:
    return valkey.key(UUID(bytes=organization), "rate", feature, *(UUID(bytes=key_id) for key_id in key))


def script_args(rate_windows: list[RateWindow], *, peek: bool = False) -> tuple[list[str], list[int]]:
    """Return the script's KEYS and ARGV. With `peek`, the script consumes nothing and refuses the call if acquiring would be refused."""
    values = [SLOTS, SLOT_MS]
    for window in rate_windows:
        values += [0 if peek else window.rate.amount, window.limit - (window.rate.amount if peek else 0)]
    return [window.name for window in rate_windows], values


def parse_reply(rate_windows: list[RateWindow], reply: list[int], at: datetime) -> RatePermit:
    """Store the script's reply in the rates and return the permit, or raise `RateLimited`."""
    if not reply[0]:
        window = rate_windows[reply[1] - 1]
        used, wait = reply[2], reply[3]
        details: dict[str, Any] = {
            "feature": window.rate.feature,
            "amount": window.rate.amount,
            "limit": window.limit,
            "used": used,
            "remaining": max(0, window.limit - used),
            "window_seconds": RATE_WINDOW_SECONDS,
            "scope": window.scope,
        }
        if wait >= 0:
            details |= {"resets_at": at + timedelta(milliseconds=wait), "retry_after": max(1, -(-wait // 1000))}
        raise RateLimited(**details)
    for window, used in zip(rate_windows, reply[2:], strict=True):
        if window.scope == "organization":
            window.rate.used = used
            window.rate.resets_at = at + timedelta(seconds=RATE_WINDOW_SECONDS)
    return RatePermit(rate_windows, reply[1])


def on_unavailable(rate_windows: list[RateWindow]) -> None:
    """Raise `TemporarilyUnavailable` if a window's feature fails closed. Call it when Valkey is unreachable."""
    for window in rate_windows:
        if window.rate.failure_mode != "fail_open":
            raise TemporarilyUnavailable(feature=window.rate.feature, retry_after=1)


def release_args(permit: RatePermit) -> list[int]:
    """Return the release script's ARGV."""
    return [SLOTS, SLOT_MS, permit.slot, *(window.rate.amount for window in permit.windows)]
