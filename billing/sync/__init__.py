"""Synchronization of one customer from Stripe.

`customer` takes the lock, fetches a snapshot (`fetch`), writes it to the mirror, and projects it (`project`, with the pure functions of
`projection`).
"""
