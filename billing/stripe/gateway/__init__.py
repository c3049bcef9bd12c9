"""All calls to Stripe, one module per resource.

Functions return plain dictionaries in the shape of the pinned API version. Stripe's errors are translated in `client` and `refusals`.
Functions that write take `key`, the idempotency key.
"""
