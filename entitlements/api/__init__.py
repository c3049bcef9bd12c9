"""The HTTP API of plans and entitlements."""
