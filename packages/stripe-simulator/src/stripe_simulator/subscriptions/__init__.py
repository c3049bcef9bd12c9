"""The life cycle of a subscription: creation, renewal, changes and end."""
