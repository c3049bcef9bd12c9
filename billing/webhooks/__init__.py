"""Stripe's events: verified, stored once, and worked on from the queue."""
