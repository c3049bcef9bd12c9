"""The panels of an organization's page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .details import OrganizationDetails
from .display import Block


@dataclass(frozen=True)
class Panel:
    """A part of the page. It is left out for users without one of the `permissions` ("app.codename")."""

    name: str
    title: str
    permissions: tuple[str, ...]
    read: Callable[[OrganizationDetails], Sequence[Block]]
