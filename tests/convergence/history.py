"""A history: generated actions that are performed at Stripe one by one, with the events and a snapshot after each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.convergence import actions, dashboard, expected_access
from tests.convergence.stripe_fixture import Gift, Scene
from tests.support.properties import st

ORGANIZATIONS = 3
ACTIONS = [*actions.ACTIONS, *dashboard.ACTIONS]
# Stripe lists nothing of a deleted customer, so events that were not delivered are lost, and the product creates a new customer for an
# organization only when it knows that the former is deleted. Neither happens within a day of an earlier step.
BY_DAY = ("is_deleted_at_stripe", "comes_back")
# In these only time passes.
WAITING = ("some_days_pass", "the_period_ends")
AT_LEAST = 30


@dataclass(frozen=True)
class Step:
    """One step. `expected` is the access of each organization then, by Stripe's own state."""

    actor: int | None  # None: all organizations
    name: str
    events: list[dict[str, Any]]
    photograph: bytes
    expected: dict[str, str]
    moments: dict[str, int]  # current time by organization
    joined: list[tuple[str, str]] = field(default_factory=list)  # organizations that got this customer, which the product created and knows
    gifts: list[tuple[str, Gift]] = field(default_factory=list)  # grants by staff to these organizations so far
    night: bool = False  # whether a reconciliation follows, whatever was delivered


@dataclass
class History:
    scene: Scene
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


def perform(scene: Scene, draws: list[tuple[int, int]], *, finals: str = "cancel") -> History:
    """Perform what was drawn. `finals` is the final action of the account's dunning settings."""
    scene.world.control("dunning", final=finals)
    scene.world.control("debits", days=4)
    history = History(scene, seed=sum(number for _, number in draws))
    began = {party.clock: scene.now(party) for party in scene.parties}
    _note(history, None, "they join")
    done: Counter[str] = Counter()
    for place, (who, number) in enumerate(draws):
        # Mixed with the position, so that a list of zeros, hypothesis's simplest, is a valid history as well.
        actor = (who + place) % len(scene.parties)
        party, dice = scene.parties[actor], Random(f"{finals}:{place}:{number}")
        sight = actions.look(scene, party)
        able = [each for each in ACTIONS if each.possible(sight)]
        chosen = dice.choices(able, [_weight(each, done) for each in able])[0]
        done[chosen.name] += 1
        if chosen.name in BY_DAY:
            history.steps[-1] = replace(history.steps[-1], night=True)
        chosen.do(scene, party, sight, dice)
        _note(history, actor, chosen.name)
    history.days = max(scene.now(party) - began[party.clock] for party in scene.parties) / 86_400
    return history


def _weight(action: actions.Action, done: Counter[str]) -> float:
    """Prefer actions that did not occur yet, so that a short history has many kinds. A third of the steps are time that passes."""
    return action.weight / 2 if action.name in WAITING else action.weight / (1 + 3 * done[action.name])


def _note(history: History, actor: int | None, name: str) -> None:
    scene = history.scene
    changed = scene.parties if actor is None else [scene.parties[actor]]
    expected = dict(history.steps[-1].expected) if history.steps else {}
    expected |= {party.organization_id: expected_access.plan(scene, party) for party in changed}
    moments = dict(history.steps[-1].moments) if history.steps else {}
    moments |= {party.organization_id: scene.moment(party) for party in changed}
    new = [(party.organization_id, party.customer) for party in changed if name in ("they join", "comes_back")]
    gifts = [(party.organization_id, gift) for party in changed for gift in party.gifts.values()]
    history.steps.append(Step(actor, name, scene.new_events(), scene.photograph(), expected, moments, new, gifts))
