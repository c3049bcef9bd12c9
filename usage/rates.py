"""Sliding windows in Valkey: so many in any 60 seconds, for the organization and, by setting, for one key of it.

A window is 31 slots of two seconds in one small string. Everything that fell into the oldest, partly expired slot still counts, so no 60
seconds ever hold more than the limit. One script looks at all windows of a call and takes from all of them or from none; the clock is
Valkey's, so the clocks of our processes do not matter. Windows run in real time, whatever test clock an organization hangs on.
"""

from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from msgspec import Struct

from contextmcp.common import valkey
from entitlements.types import RATE_WINDOW_SECONDS

from .errors import RateLimited, TemporarilyUnavailable
from .types import KEYLESS, Rate, Who

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
TAKE = (
    _HEAD
    + """
-- A call may name a rate more than once: then it takes the sum.
local states, wanted = {}, {}
for n, key in ipairs(KEYS) do
  local amount, limit = tonumber(ARGV[1 + 2 * n]), tonumber(ARGV[2 + 2 * n])
  local state, before = states[key] or read(key), wanted[key] or 0
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
  states[key], wanted[key] = state, before + amount
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
GIVE_BACK = (
    _HEAD
    + """
local taken = tonumber(ARGV[3])
for n, key in ipairs(KEYS) do
  local state = read(key)
  if taken > state[1] - ring then
    local i = taken % ring + 3
    local back = math.min(tonumber(ARGV[3 + n]), state[i])
    state[2] = state[2] - back
    state[i] = state[i] - back
    write(key, state)
  end
end
return 1
"""
)


class Window(Struct):
    """One window of a call: the organization's, or the key's."""

    name: str
    rate: Rate
    limit: int
    scope: str


class Taken(Struct):
    """What must be given back if the call is refused for another reason."""

    windows: list[Window]
    slot: int


def windows(who: Who, rates: list[Rate]) -> list[Window]:
    """All windows a call takes from. A key has one of its own where RATE_SHARE_PER_KEY is under 1; else the organization's binds first."""
    share = getattr(settings, "RATE_SHARE_PER_KEY", 1.0)
    found = []
    for rate in rates:
        if rate.limit is None:
            continue
        found.append(Window(_name(who.organization, rate.feature), rate, rate.limit, "organization"))
        if who.key != KEYLESS and share < 1:
            limit = max(1, int(rate.limit * share))
            found.append(Window(_name(who.organization, rate.feature, who.key), rate, limit, "key"))
    return found


@lru_cache(100_000)
def _name(organization: bytes, feature: str, *key: bytes) -> str:
    return valkey.key(UUID(bytes=organization), "rate", feature, *(UUID(bytes=each) for each in key))


def arguments(wanted: list[Window], *, peek: bool = False) -> tuple[list[str], list[int]]:
    """The script's KEYS and ARGV. A peek takes nothing but is refused where taking would be."""
    values = [SLOTS, SLOT_MS]
    for window in wanted:
        values += [0 if peek else window.rate.amount, window.limit - (window.rate.amount if peek else 0)]
    return [window.name for window in wanted], values


def understand(wanted: list[Window], answer: list[int], at: datetime) -> Taken:
    """What the script said: note it on the rates, or raise `RateLimited`."""
    if not answer[0]:
        window = wanted[answer[1] - 1]
        used, wait = answer[2], answer[3]
        told: dict[str, Any] = {
            "feature": window.rate.feature,
            "amount": window.rate.amount,
            "limit": window.limit,
            "used": used,
            "remaining": max(0, window.limit - used),
            "window_seconds": RATE_WINDOW_SECONDS,
            "scope": window.scope,
        }
        if wait >= 0:
            told |= {"resets_at": at + timedelta(milliseconds=wait), "retry_after": max(1, -(-wait // 1000))}
        raise RateLimited(**told)
    for window, used in zip(wanted, answer[2:], strict=True):
        if window.scope == "organization":
            window.rate.used = used
            window.rate.resets_at = at + timedelta(seconds=RATE_WINDOW_SECONDS)
    return Taken(wanted, answer[1])


@cache
def _scripts() -> Any:
    client = valkey.client()
    return None if client is None else (client.register_script(TAKE), client.register_script(GIVE_BACK))


def take(who: Who, rates: list[Rate], at: datetime, *, peek: bool = False) -> Taken | None:
    """Take from every window or from none; None where there is none, or where Valkey is gone and every feature's policy is to allow.

    Raises `RateLimited`, or `TemporarilyUnavailable` where the policy is to refuse.
    """
    wanted = windows(who, rates)
    if not wanted:
        return None
    scripts = _scripts()
    if scripts is None:
        gone(wanted)
        return None
    try:
        keys, values = arguments(wanted, peek=peek)
        answer = scripts[0](keys=keys, args=values)
    except valkey.Unavailable:
        gone(wanted)
        return None
    return understand(wanted, answer, at)


def gone(wanted: list[Window]) -> None:
    """Valkey cannot be reached: each feature's declared policy holds."""
    for window in wanted:
        if window.rate.on_outage != "allow":
            raise TemporarilyUnavailable(feature=window.rate.feature, retry_after=1)


def give_back(taken: Taken | None) -> None:
    """The call was refused for another reason: it asked for nothing after all. Where Valkey is gone there is nothing to give back."""
    scripts = _scripts()
    if taken is None or scripts is None:
        return
    try:
        scripts[1](keys=[window.name for window in taken.windows], args=returned(taken))
    except valkey.Unavailable:
        return


def returned(taken: Taken) -> list[int]:
    return [SLOTS, SLOT_MS, taken.slot, *(window.rate.amount for window in taken.windows)]
