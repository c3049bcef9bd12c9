"""The sources of the work queue. Each source finds one kind of problem."""

from . import access, billing, delivery, entitlements
from .base import Finding, Source

SOURCES: dict[str, Source] = {
    source.kind: source for module in (access, billing, delivery, entitlements) for source in (each() for each in module.SOURCES)
}

__all__ = ["SOURCES", "Finding", "Source"]
