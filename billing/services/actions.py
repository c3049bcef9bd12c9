"""Wishes on record: a row is committed before Stripe is asked, and its id is the idempotency key."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from accounts.audit import record
from accounts.models import Organization, User
from accounts.types import Caller
from billing.errors import StripeUnavailable
from billing.models import BillingAction
from contextmcp.common.clock import now

Actor = Caller | User | None
# Stripe forgets a key after a day at the earliest; an older wish would be a new one there as well.
SAME_WISH_WITHIN = timedelta(hours=20)


def person(actor: Actor) -> User | None:
    return actor.user if isinstance(actor, Caller) else actor


def new(organization: Organization, kind: str, actor: Actor, **parameters: Any) -> BillingAction:
    """A row with a key of its own, after which nothing older is taken up again.

    Cancelled with the answer lost, resumed, cancelled again: the old key would get the old answer, and nothing would end.
    """
    BillingAction.objects.unfinished().filter(organization=organization).update(
        state=BillingAction.State.FAILED, error="superseded", finished_at=now()
    )
    return BillingAction.objects.create(organization=organization, kind=kind, parameters=parameters, created_by=person(actor))


@contextmanager
def wish(organization: Organization, kind: str, actor: Actor, **parameters: Any) -> Iterator[BillingAction]:
    """The row to ask Stripe with; done when the block ends well.

    One whose answer got lost is taken up again with the same key, unless something else was wished since.
    """
    unfinished = BillingAction.objects.unfinished().filter(organization=organization, kind=kind, parameters=parameters)
    row = unfinished.filter(created_at__gt=now() - SAME_WISH_WITHIN).first() or new(organization, kind, actor, **parameters)
    try:
        yield row
    except StripeUnavailable:
        raise  # Nobody knows what became of it: it stays pending.
    except Exception as error:
        _finish(row, BillingAction.State.FAILED, f"{type(error).__name__}: {error}"[:500])
        raise
    _finish(row, BillingAction.State.DONE)
    record(f"billing.{kind}", organization=organization, actor=actor, target=f"billing:{organization.pk}", after=parameters)


def _finish(row: BillingAction, state: str, error: str = "") -> None:
    row.state, row.error, row.finished_at = state, error, now()
    row.save(update_fields=["state", "error", "finished_at"])
