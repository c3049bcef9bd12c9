"""Generated histories, told in any order, three times, a fifth not at all: 10,000 deliveries, 0 differences."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.convergence import history, trial
from tests.convergence.trial import Outcome
from tests.soak import stage
from tests.soak.figures import Figures
from tests.soak.options import Options, say

DELIVERIES = 10_000
# More histories than it can take; those after the last delivery that was wanted are not played.
ENOUGH = 500


def run(options: Options) -> Figures:
    wanted, outcomes = options.many(DELIVERIES), list[Outcome]()
    with stage.stripe() as world:

        @seed(options.seed)
        @settings(max_examples=ENOUGH, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(draws=history.DRAWS, finals=st.sampled_from(["cancel", "unpaid", "past_due"]))
        def play(draws: list[tuple[int, int]], finals: str) -> None:
            if sum(each.deliveries for each in outcomes) >= wanted:
                return
            outcomes.append(_slim(trial.run(world, draws, finals=finals)))
            _report(outcomes, finals)

        play()
        findings = world.findings()
    return _figures(outcomes, wanted, findings)


def _slim(outcome: Outcome) -> Outcome:
    """Its photographs are large, and done with."""
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
        say(last.told())


def _figures(outcomes: list[Outcome], wanted: int, findings: list[str]) -> Figures:
    figures = Figures()
    kinds = {name for each in outcomes for name in each.history.names()}
    figures.tell("histories", len(outcomes))
    figures.at_least("actions in the shortest", min(each.steps - 1 for each in outcomes), history.AT_LEAST)
    figures.tell("kinds of actions", len(kinds))
    figures.tell("days simulated, in the mean", sum(each.history.days for each in outcomes) / len(outcomes))
    figures.tell("events", sum(len(each.history.events) for each in outcomes))
    figures.at_least("deliveries out of order", sum(each.deliveries for each in outcomes), wanted)
    figures.tell("events never delivered", sum(each.dropped for each in outcomes))
    figures.tell("rows compared", sum(each.compared for each in outcomes))
    figures.tell("looks at who is entitled to what", sum(each.checks for each in outcomes))
    figures.none("differences", [problem for each in outcomes for problem in each.problems])
    figures.none("wire findings", findings)
    return figures
