"""Pages of the organization's settings and of the user's own account."""
