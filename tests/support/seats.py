"""A seat limit without a limit, for tests that are not about plans."""


def unlimited(organization: object) -> None:
    """Return no limit of members."""
