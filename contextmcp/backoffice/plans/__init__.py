"""The plans page: published versions with their differences and subscribers, and publishing the catalog file."""
