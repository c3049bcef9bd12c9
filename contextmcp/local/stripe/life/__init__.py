"""The life of a subscription: it starts, rolls from period to period, changes, and ends."""
