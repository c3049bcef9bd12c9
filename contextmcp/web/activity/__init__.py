"""The history of an organization in plain sentences, newest first, for its members and for staff.

`timeline` merges rows of several tables by time: the audit log, refusals, invoices, refunds and disputes, subscriptions, failed billing
actions, usage alerts and emails. Each table is a module in `sources`, which reads a few rows by an index. `sentences` describes the actions
of the audit log, and declares for each whether the customer sees it. `visibility` decides what a member sees.
"""

from .merge import timeline
from .types import CUSTOMER_KINDS, KINDS, Entry, Kind, Page

__all__ = ["CUSTOMER_KINDS", "KINDS", "Entry", "Kind", "Page", "timeline"]
