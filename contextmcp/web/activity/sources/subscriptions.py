"""Subscriptions at Stripe: their start, the end of the trial, the cancellation and the end."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import F
from django.utils.dateformat import format as format_date

from billing.models import SubscriptionState
from contextmcp.common.admin_links import page_url
from contextmcp.common.clock import now
from contextmcp.common.money import format_amount
from contextmcp.web.activity.links import Link, canceled, member_page
from contextmcp.web.activity.names import Names
from contextmcp.web.activity.types import Entry, Kind, Query
from entitlements.catalog import CATALOG

from .base import Item, Source, Stream, StreamRows


class SubscriptionSource(Source):
    """An organization has a handful of rows, which the index of the organization finds. They need no index for each of their times."""

    kinds: ClassVar = frozenset({Kind.PAYMENT})

    def streams(self, query: Query) -> Sequence[StreamRows]:
        if query.by_actor_or_code:
            return ()
        rows = SubscriptionState.objects.filter(organization=query.organization)
        present = now(query.organization)
        plan = {"plan_name": F("plan_version__plan")}
        return [
            StreamRows(Stream.SUBSCRIPTION_ENDED, rows.filter(ended_at__lte=present), "ended_at", extras=plan),
            StreamRows(Stream.SUBSCRIPTION_CANCELED, rows.filter(canceled_at__lte=present), "canceled_at", extras=plan),
            StreamRows(Stream.TRIAL_ENDED, rows.filter(trial_end__lte=present), "trial_end", extras=plan),
            StreamRows(Stream.SUBSCRIPTION_STARTED, rows.exclude(status="incomplete"), "started_at", extras=plan),
        ]

    def describe(self, item: Item, query: Query, names: Names) -> Entry:
        state: SubscriptionState = item.row
        link = Link(page_url("billing.subscriptionstate", state.pk)) if query.for_staff else _member_link(item.stream, state, query)
        detail = state.stripe_subscription_id if query.for_staff else ""
        return Entry(item.at, Kind.PAYMENT, _sentence(item.stream, item.row), link=link.url, action=link.action, detail=detail)


def _member_link(stream: Stream, state: SubscriptionState, query: Query) -> Link:
    if stream in {Stream.SUBSCRIPTION_CANCELED, Stream.SUBSCRIPTION_ENDED}:
        return canceled(query, has_ended=state.ended_at is not None)
    return Link(member_page(Kind.PAYMENT, query))


def _sentence(stream: Stream, state: Any) -> str:
    name = f"The subscription to {CATALOG.plan_title(state.plan_name)}" if state.plan_name else "A subscription"
    if stream is Stream.SUBSCRIPTION_ENDED:
        return f"{name} ended."
    if stream is Stream.SUBSCRIPTION_CANCELED:
        end = state.ended_at or state.cancel_at
        later = f", effective {format_date(end, 'F j, Y')}" if end and end.date() != state.canceled_at.date() else ""
        return f"{name} was canceled{later}."
    if stream is Stream.TRIAL_ENDED:
        return "The trial ended." if state.trial_start == state.started_at else "The free days ended."
    price = f" at {format_amount(state.amount, state.currency)} per {state.interval}" if state.amount is not None and state.interval else ""
    on_trial = state.trial_end is not None and state.trial_start == state.started_at
    trial = f" with a trial until {format_date(state.trial_end, 'F j, Y')}" if on_trial else ""
    return f"{name} started{price}{trial}."


SOURCE = SubscriptionSource()
