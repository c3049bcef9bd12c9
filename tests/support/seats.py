"""An unlimited number of seats, for tests that do not depend on plans."""


def unlimited(organization: object) -> None:
    """Return no limit of members."""
