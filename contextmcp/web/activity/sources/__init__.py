"""The tables that the timeline reads, one module for each."""

from . import adjustments, alerts, audit, emails, failed_actions, invoices, refusals, subscriptions
from .base import Batch, Item, Source, read_streams

__all__ = ["SOURCES", "Batch", "Item", "Source", "read_streams"]

SOURCES: tuple[Source, ...] = (
    audit.SOURCE,
    refusals.SOURCE,
    invoices.SOURCE,
    adjustments.SOURCE,
    subscriptions.SOURCE,
    failed_actions.SOURCE,
    alerts.SOURCE,
    emails.SOURCE,
)
