"""The table of due work: trial reminders, period ends, finalizations, retries, phases, expiries. They run in order of time."""

import time
from collections.abc import Callable

from stripe_simulator.store import Store
from stripe_simulator.types import Obj
from stripe_simulator.unit_of_work import Unit

Job = Callable[[Unit, Obj], None]
HANDLERS: dict[str, Job] = {}


def handles(kind: str) -> Callable[[Job], Job]:
    """Register the function that is called with the subject when a job of this kind is due."""

    def register(work: Job) -> Job:
        HANDLERS[kind] = work
        return work

    return register


def schedule(unit: Unit, kind: str, subject: Obj, due: int) -> None:
    """Schedule a job. There is one job per kind and subject: a new time replaces the old one."""
    cancel(unit, subject, kind)
    unit.store.run("INSERT INTO jobs (kind, subject, due, clock) VALUES (?, ?, ?, ?)", (kind, subject["id"], due, unit.clock_of(subject)))


def cancel(unit: Unit, subject: Obj, *kinds: str) -> None:
    if not kinds:
        unit.store.run("DELETE FROM jobs WHERE subject = ?", (subject["id"],))
    for kind in kinds:
        unit.store.run("DELETE FROM jobs WHERE subject = ? AND kind = ?", (subject["id"], kind))


def next_due(unit: Unit, clock: str | None, until: int) -> tuple[int, str, str, int] | None:
    """Return the earliest job due by a time: ID, kind, subject and due time. Jobs of one time run in the order of scheduling."""
    # At a period end, a new phase, a scheduled cancellation or the expiry of a pending update comes first: it changes what is billed.
    order = "due, kind NOT IN ('pending_update_expiry', 'schedule_phase', 'cancel_at'), id"
    row = unit.store.one(f"SELECT * FROM jobs WHERE clock IS ? AND due <= ? ORDER BY {order} LIMIT 1", (clock, until))
    return None if row is None else (row["id"], row["kind"], row["subject"], row["due"])


def run(unit: Unit, job: tuple[int, str, str, int]) -> None:
    id, kind, subject, _ = job
    unit.store.run("DELETE FROM jobs WHERE id = ?", (id,))
    obj = unit.get(subject)
    if obj is not None and not obj.get("deleted"):
        HANDLERS[kind](unit, obj)


def run_now(unit: Unit, kind: str, subject: Obj) -> None:
    """Run a job immediately, in the same unit of work."""
    HANDLERS[kind](unit, subject)


def next_due_in_real_time(store: Store) -> int | None:
    """Return the first job that is due in real time. It is polled often, so it does not open a transaction."""
    row = store.one("SELECT MIN(due) AS due FROM jobs WHERE clock IS NULL AND due <= ?", (int(time.time()),))
    return None if row is None else row["due"]


def schedule_in_real_time(unit: Unit, kind: str, subject: Obj, due: int) -> None:
    """Schedule a job by real time, even if the subject is on a test clock."""
    cancel(unit, subject, kind)
    unit.store.run("INSERT INTO jobs (kind, subject, due, clock) VALUES (?, ?, ?, NULL)", (kind, subject["id"], due))
