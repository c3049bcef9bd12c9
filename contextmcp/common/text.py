"""Identifiers as text for people."""


def words(identifier: str) -> str:
    """Return an identifier as words: `past_due` becomes "past due"."""
    return identifier.replace("_", " ")
