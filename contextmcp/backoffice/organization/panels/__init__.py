"""The panels of an organization's page, one per module. Each is a `PANEL` with its own permissions and a bounded number of queries."""
