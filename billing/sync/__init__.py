"""Synchronization of one customer from Stripe.

`customer` takes the lock, fetches a snapshot (`fetch`), writes it to the mirror, and projects it (`customer_projection`, with the pure
functions of `billing.documents`). `unlinked_purchases` finds the organization of a customer that names none.
"""
