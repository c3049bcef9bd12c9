"""The HTTP API of billing. It parses, calls `BillingManager` and renders."""
