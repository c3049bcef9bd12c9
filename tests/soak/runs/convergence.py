"""Deliver generated histories in any order, a fifth three times and a fifth not at all: 10,000 deliveries, 0 differences."""

from __future__ import annotations

from tests.convergence import history, replay_orders
from tests.convergence.replay_orders import Outcome
from tests.soak import services
from tests.soak.metrics import Figures
from tests.soak.options import Options, say
from tests.support.properties import HealthCheck, Phase, given, seed, settings, st

DELIVERIES = 10_000
# More histories than needed. Those after the last required delivery are not played.
ENOUGH = 500


def run(options: Options) -> Figures:
    target, outcomes = options.many(DELIVERIES), list[Outcome]()
    with services.stripe() as world:

        @seed(options.seed)
        @settings(max_examples=ENOUGH, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(draws=history.DRAWS, finals=st.sampled_from(["cancel", "unpaid", "past_due"]))
        def play(draws: list[tuple[int, int]], finals: str) -> None:
            if sum(each.deliveries for each in outcomes) >= target:
                return
            outcomes.append(_slim(replay_orders.run(world, draws, finals=finals)))
            _report(outcomes, finals)

        play()
        findings = world.findings()
    return _figures(outcomes, target, findings)


def _slim(outcome: Outcome) -> Outcome:
    """Free the snapshots of a history, which are large."""
    outcome.history.steps = [type(step)(step.actor, step.name, step.events, b"", {}, {}) for step in outcome.history.steps]
    return outcome


def _report(outcomes: list[Outcome], finals: str) -> None:
    last = outcomes[-1]
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in last.seconds.items())
    say(
        f"  {len(outcomes)}: {last.steps} steps, {last.history.days:.0f} days, {len(last.history.events)} events, "
        f"{last.deliveries} deliveries, {len(last.problems)} problems ({finals}; {seconds})"
    )
    if last.problems:
        say(last.describe())


def _figures(outcomes: list[Outcome], target: int, findings: list[str]) -> Figures:
    figures = Figures()
    kinds = {name for each in outcomes for name in each.history.names()}
    figures.add("histories", len(outcomes))
    figures.at_least("actions in the shortest history", min(each.steps - 1 for each in outcomes), history.AT_LEAST)
    figures.add("kinds of actions", len(kinds))
    figures.add("mean number of simulated days", sum(each.history.days for each in outcomes) / len(outcomes))
    figures.add("events", sum(len(each.history.events) for each in outcomes))
    figures.at_least("deliveries out of order", sum(each.deliveries for each in outcomes), target)
    figures.add("events never delivered", sum(each.dropped for each in outcomes))
    figures.add("rows compared", sum(each.compared for each in outcomes))
    figures.add("checks of entitlements", sum(each.checks for each in outcomes))
    figures.add("payments compared with their announcements", sum(each.announced for each in outcomes))
    figures.none("differences", [problem for each in outcomes for problem in each.problems])
    figures.none("wire findings", findings)
    return figures
