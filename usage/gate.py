"""Why was I refused? One call decides feature, rate and quota, and counts: through `asking`, `rates`, `decide` and `store`.

Order matters. The plan refuses without counting anything. Then the rates of the call are taken, all or none: they protect what comes after.
Then quotas and levels, in one transaction. Whatever is refused there gives the rates back: a refused call took nothing.
"""

from contextmcp.common.errors import DomainError

from . import decide, limits, outage, rates, store
from .encoding import to_json
from .errors import RateLimited
from .rows import Counter, State
from .types import Ask, Flag, ItemAnswer, Level, Part, Quota, Rate


def authorize(ask: Ask) -> decide.Granted:
    """Count what is asked, or raise why not and count nothing."""
    wanted = rates_of(ask)
    try:
        taken = rates.take(ask.who, wanted, ask.at) if wanted else None
    except RateLimited as refusal:
        return repeat_or(ask, refusal)
    if not ask.durable:
        return decide.grant(ask, [limits.still_answer(part) for part in ask.parts if isinstance(part, Rate | Flag)])
    try:
        outcome = _executed(ask)
    except BaseException:
        rates.give_back(taken)
        raise
    if taken is not None and not fresh(outcome):
        rates.give_back(taken)
    return granted(outcome)


def _executed(ask: Ask) -> decide.Outcome:
    outage.prepare(ask)
    try:
        return store.execute([ask])[0]
    except store.Unreachable as error:
        return outage.answer(ask, error)


def rates_of(ask: Ask) -> list[Rate]:
    return [part for part in ask.parts if isinstance(part, Rate)]


def fresh(outcome: decide.Outcome) -> bool:
    """Whether something was counted just now, and not by an earlier call or not at all."""
    return isinstance(outcome, decide.Granted) and not outcome.replayed


def granted(outcome: decide.Outcome) -> decide.Granted:
    if isinstance(outcome, DomainError):
        raise outcome
    assert isinstance(outcome, decide.Granted)
    return outcome


def repeat_or(ask: Ask, refusal: RateLimited) -> decide.Granted:
    """A repeat answers as the first did, however full the window is by now."""
    if ask.digest is None:
        raise refusal
    seen = store.seen(ask.who.organization, ask.digest)
    if seen is None:
        raise refusal
    return granted(decide.repeated(ask, seen))


def check(ask: Ask) -> ItemAnswer:
    """What `authorize` would answer for one feature; counts nothing. `used` and `remaining` are as they stand. Raises why not."""
    return standing(ask.parts[0], _would(ask))


def _would(ask: Ask) -> ItemAnswer:
    one = ask.parts[0]
    if isinstance(one, Rate):
        rates.take(ask.who, [one], ask.at, peek=True)
        return limits.still_answer(one)
    if isinstance(one, Flag):
        return limits.still_answer(one)
    return would(ask, store.peek(ask))


def would(ask: Ask, state: State) -> ItemAnswer:
    """The same of what Postgres decides, given what stands there."""
    one = ask.parts[0]
    organization = ask.who.organization
    answer: ItemAnswer | DomainError
    if isinstance(one, Quota):
        counter = state.counters.get((organization, one.feature, one.period.start)) or Counter(0, 0, 0)
        answer = limits.quota_answer(one, counter, ask.at)
    else:
        assert isinstance(one, Level)
        row = state.levels.get((organization, one.feature))
        answer = limits.level_answer(one, one.counted if one.counted is not None else row.value if row else 0)
    if isinstance(answer, DomainError):
        raise answer
    return answer


def standing(one: Part, answer: ItemAnswer) -> ItemAnswer:
    """Nothing was taken, so what was added is subtracted again."""
    if isinstance(one, Quota | Level) and answer.used is not None:
        answer.used -= one.amount
        answer.overage = max(0, answer.overage - one.amount)
        if answer.limit is not None:
            answer.remaining = max(0, answer.limit - answer.used)
    return answer


def verdict(feature: str, amount: int, decision: ItemAnswer | DomainError, plan: str) -> bytes:
    """What `check` answers, allowed or not, as JSON."""
    if isinstance(decision, ItemAnswer):
        said = {
            "allowed": True,
            "code": None,
            "feature": feature,
            "kind": decision.kind,
            "amount": amount,
            "used": decision.used,
            "limit": decision.limit,
            "remaining": decision.remaining,
            "overage": decision.overage,
            "resetsAt": decision.resets_at,
            "plan": plan,
        }
        return to_json(said)
    told = decision.details
    return to_json(
        {
            "allowed": False,
            "code": decision.code,
            "detail": decision.text,
            "feature": feature,
            "amount": amount,
            "used": told.get("used"),
            "limit": told.get("limit"),
            "remaining": told.get("remaining"),
            "resetsAt": told.get("resets_at"),
            "retryAfter": told.get("retry_after"),
            "upgradeUrl": told.get("upgrade_url"),
            "plan": plan,
        }
    )
