"""Stripe's webhook events: verified, stored once, and processed by queued jobs."""
