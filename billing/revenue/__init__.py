"""Recurring revenue. docs/revenue.md defines the figures.

The sync passes each customer's events to `change_log`, which appends each change of a subscription's recurring charges and its time.
`snapshots` calculates the revenue of each day from that log, `daily_totals` sums it, and `rebuild` runs both for the periodic job and
`manage.py rebuild_revenue`. `selectors` reads the totals for pages. `terms` and `event_order` are pure.
"""
