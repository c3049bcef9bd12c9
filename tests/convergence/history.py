"""A history: generated actions that are performed at Stripe one by one, with the events and a snapshot after each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.convergence import actions, dashboard, expected_access
from tests.convergence.stripe_fixture import Gift, Scenario
from tests.support.properties import st

ORGANIZATIONS = 3
ACTIONS = [*actions.ACTIONS, *dashboard.ACTIONS]
# Stripe lists nothing of a deleted customer, so events that were not delivered are lost, and the product creates a new customer for an
# organization only when it knows that the former is deleted. Neither happens within a day of an earlier step.
BY_DAY = ("is_deleted_at_stripe", "returns_as_a_new_customer")
# Actions in which only time passes.
WAITING = ("some_days_pass", "the_period_ends")
AT_LEAST = 30


@dataclass(frozen=True)
class Step:
    """One step. `expected` is the access of each organization then, by Stripe's own state."""

    actor: int | None  # None: all organizations
    name: str
    events: list[dict[str, Any]]
    state: bytes
    expected: dict[str, str]
    moments: dict[str, int]  # current time by organization
    joined: list[tuple[str, str]] = field(default_factory=list)  # organizations that got this customer, which the product created and knows
    gifts: list[tuple[str, Gift]] = field(default_factory=list)  # grants by staff to these organizations so far
    night: bool = False  # whether a reconciliation follows, whatever was delivered


@dataclass
class History:
    scenario: Scenario
    seed: int
    steps: list[Step] = field(default_factory=list)
    days: float = 0.0

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for step in self.steps for event in step.events]

    def describe(self) -> str:
        """Describe the step for the report of a failure."""
        return "\n".join(
            f"{number:3} organization {step.actor} {step.name} ({len(step.events)} events)" for number, step in enumerate(self.steps)
        )

    def names(self) -> Counter[str]:
        return Counter(step.name for step in self.steps)


# The actor, and a number that selects one of the possible actions, so that every draw can be played and shrinks.
DRAWS = st.lists(
    st.tuples(st.integers(0, ORGANIZATIONS - 1), st.integers(0, 2**16)),
    min_size=AT_LEAST,
    max_size=AT_LEAST + 15,
)


def perform(scenario: Scenario, draws: list[tuple[int, int]], *, finals: str = "cancel") -> History:
    """Perform what was drawn. `finals` is the final action of the account's dunning settings."""
    scenario.world.control("dunning", final=finals)
    scenario.world.control("debits", days=4)
    history = History(scenario, seed=sum(number for _, number in draws))
    started = {tenant.clock: scenario.now(tenant) for tenant in scenario.tenants}
    _record(history, None, "they join")
    done: Counter[str] = Counter()
    for place, (who, number) in enumerate(draws):
        # Mixed with the position, so that a list of zeros, hypothesis's simplest, is a valid history as well.
        actor = (who + place) % len(scenario.tenants)
        tenant, rng = scenario.tenants[actor], Random(f"{finals}:{place}:{number}")
        snapshot = actions.take_snapshot(scenario, tenant)
        able = [each for each in ACTIONS if each.possible(snapshot)]
        chosen = rng.choices(able, [_weight(each, done) for each in able])[0]
        done[chosen.name] += 1
        if chosen.name in BY_DAY:
            history.steps[-1] = replace(history.steps[-1], night=True)
        chosen.do(scenario, tenant, snapshot, rng)
        _record(history, actor, chosen.name)
    history.days = max(scenario.now(tenant) - started[tenant.clock] for tenant in scenario.tenants) / 86_400
    return history


def _weight(action: actions.Action, done: Counter[str]) -> float:
    """Prefer actions that did not occur yet, so that a short history has many kinds. A third of the steps are time that passes."""
    return action.weight / 2 if action.name in WAITING else action.weight / (1 + 3 * done[action.name])


def _record(history: History, actor: int | None, name: str) -> None:
    scenario = history.scenario
    changed = scenario.tenants if actor is None else [scenario.tenants[actor]]
    expected = dict(history.steps[-1].expected) if history.steps else {}
    expected |= {tenant.organization_id: expected_access.plan(scenario, tenant) for tenant in changed}
    moments = dict(history.steps[-1].moments) if history.steps else {}
    moments |= {tenant.organization_id: scenario.moment(tenant) for tenant in changed}
    new = [(tenant.organization_id, tenant.customer) for tenant in changed if name in ("they join", "returns_as_a_new_customer")]
    gifts = [(tenant.organization_id, gift) for tenant in changed for gift in tenant.gifts.values()]
    history.steps.append(Step(actor, name, scenario.new_events(), scenario.dump_state(), expected, moments, new, gifts))
