"""A history: what was drawn, done at Stripe one by one, with the events and the look of everything after each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.convergence import actions, standing
from tests.convergence.scene import Scene

ORGANIZATIONS = 3
# Stripe lists nothing of a deleted customer, so what was never heard of it stays unknown; and the product makes a new customer for an
# organization only when it knows that the former is gone. Neither happens within a day of what went before.
BY_DAY = ("is_deleted_at_stripe", "comes_back")
AT_LEAST = 30


@dataclass(frozen=True)
class Step:
    """One thing that happened. `expected` is what each organization is entitled to then, by Stripe's own state."""

    actor: int | None  # none: everybody
    name: str
    events: list[dict[str, Any]]
    photograph: bytes
    expected: dict[str, str]
    moments: dict[str, int]  # what time it is for each organization
    joined: list[tuple[str, str]] = field(default_factory=list)  # organizations that got this customer, which the product knows: it asked
    night: bool = False  # a reconciliation follows, whatever was told


@dataclass
class History:
    scene: Scene
    seed: int
    steps: list[Step] = field(default_factory=list)
    days: float = 0.0

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for step in self.steps for event in step.events]

    def told(self) -> str:
        """For whoever reads a failure."""
        return "\n".join(
            f"{number:3} organization {step.actor} {step.name} ({len(step.events)} events)" for number, step in enumerate(self.steps)
        )

    def names(self) -> Counter[str]:
        return Counter(step.name for step in self.steps)


# Who acts, and a number that decides what they do among what is possible then: so every draw can be played, and shrinks.
DRAWS = st.lists(
    st.tuples(st.integers(0, ORGANIZATIONS - 1), st.integers(0, 2**16)),
    min_size=AT_LEAST,
    max_size=AT_LEAST + 15,
)


def perform(scene: Scene, draws: list[tuple[int, int]], *, finals: str = "cancel") -> History:
    """Do what was drawn. `finals` is what the account does after the last failed retry."""
    scene.world.control("dunning", final=finals)
    history = History(scene, seed=sum(number for _, number in draws))
    began = {party.clock: scene.now(party) for party in scene.parties}
    _note(history, None, "they join")
    for place, (who, number) in enumerate(draws):
        # Mixed with the place, so that hypothesis's favourite, a list of zeros, is a history as well.
        actor = (who + place) % len(scene.parties)
        party, dice = scene.parties[actor], Random(f"{finals}:{place}:{number}")
        sight = actions.look(scene, party)
        able = [each for each in actions.ACTIONS if each.possible(sight)]
        chosen = dice.choices(able, [each.weight for each in able])[0]
        if chosen.name in BY_DAY:
            history.steps[-1] = replace(history.steps[-1], night=True)
        chosen.do(scene, party, sight, dice)
        _note(history, actor, chosen.name)
    history.days = max(scene.now(party) - began[party.clock] for party in scene.parties) / 86_400
    return history


def _note(history: History, actor: int | None, name: str) -> None:
    scene = history.scene
    changed = scene.parties if actor is None else [scene.parties[actor]]
    expected = dict(history.steps[-1].expected) if history.steps else {}
    expected |= {party.organization_id: standing.plan(scene, party) for party in changed}
    moments = dict(history.steps[-1].moments) if history.steps else {}
    moments |= {party.organization_id: scene.now(party) for party in changed}
    new = [(party.organization_id, party.customer) for party in changed if name in ("they join", "comes_back")]
    history.steps.append(Step(actor, name, scene.news(), scene.photograph(), expected, moments, new))
