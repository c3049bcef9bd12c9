"""Outgoing webhooks: `outbox` queues messages in the transaction of the change, `dispatcher` sends them."""
