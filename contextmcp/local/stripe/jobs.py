"""One table of what is due: trial reminders, period ends, finalizations, retries, phases, expiries. Time pops it in order."""

import time
from collections.abc import Callable

from contextmcp.local.stripe.kinds import Obj
from contextmcp.local.stripe.store import Store
from contextmcp.local.stripe.unit import Unit

Job = Callable[[Unit, Obj], None]
WORK: dict[str, Job] = {}


def does(kind: str) -> Callable[[Job], Job]:
    """Register what happens to the subject when a job of this kind is due."""

    def register(work: Job) -> Job:
        WORK[kind] = work
        return work

    return register


def schedule(unit: Unit, kind: str, subject: Obj, due: int) -> None:
    """One job of a kind per subject: a new date replaces the old one."""
    cancel(unit, subject, kind)
    unit.store.run("INSERT INTO jobs (kind, subject, due, clock) VALUES (?, ?, ?, ?)", (kind, subject["id"], due, unit.clock_of(subject)))


def cancel(unit: Unit, subject: Obj, *kinds: str) -> None:
    if not kinds:
        unit.store.run("DELETE FROM jobs WHERE subject = ?", (subject["id"],))
    for kind in kinds:
        unit.store.run("DELETE FROM jobs WHERE subject = ? AND kind = ?", (subject["id"], kind))


def next_due(unit: Unit, clock: str | None, until: int) -> tuple[int, str, str, int] | None:
    """The earliest job due by then: its id, kind, subject and date. Of two at one moment, the one that was planned first."""
    # At a period's end a new phase or a planned end comes first: the renewal must bill what holds then.
    order = "due, kind NOT IN ('schedule_phase', 'cancel_at'), id"
    row = unit.store.one(f"SELECT * FROM jobs WHERE clock IS ? AND due <= ? ORDER BY {order} LIMIT 1", (clock, until))
    return None if row is None else (row["id"], row["kind"], row["subject"], row["due"])


def run(unit: Unit, job: tuple[int, str, str, int]) -> None:
    id, kind, subject, _ = job
    unit.store.run("DELETE FROM jobs WHERE id = ?", (id,))
    found = unit.get(subject)
    if found is not None and not found.get("deleted"):
        WORK[kind](unit, found)


def run_now(unit: Unit, kind: str, subject: Obj) -> None:
    """What is due this very moment, in the same unit of work."""
    WORK[kind](unit, subject)


def peek(store: Store) -> int | None:
    """The first date due in real time, if it has come: asked often, so without a transaction."""
    row = store.one("SELECT MIN(due) AS due FROM jobs WHERE clock IS NULL AND due <= ?", (int(time.time()),))
    return None if row is None else row["due"]


def schedule_real(unit: Unit, kind: str, subject: Obj, due: int) -> None:
    """As `schedule`, but by the real time even for somebody on a test clock."""
    cancel(unit, subject, kind)
    unit.store.run("INSERT INTO jobs (kind, subject, due, clock) VALUES (?, ?, ?, NULL)", (kind, subject["id"], due))
