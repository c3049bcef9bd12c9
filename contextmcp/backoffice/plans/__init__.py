"""The plans page: published versions with their differences, who is on which, and publishing the catalog file."""
