"""What the tour is told of the running world, and what it learns on the way."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from .browser import Api, Browser
from .stripe_side import StripeSide


class World(Protocol):
    """The running local world, as the tour needs to see it."""

    url: str
    mail_url: str
    stripe_url: str
    stripe_secret_key: str


@dataclass
class Journey:
    """Everything one walk carries from step to step."""

    world: World
    stripe: StripeSide
    email: str
    password: str
    browser: Browser = field(default_factory=Browser)
    api: Api = field(init=False)
    free_key: str = ""
    organization: dict[str, Any] = field(default_factory=dict)
    checkout: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api = Api(self.world.url)

    def close(self) -> None:
        self.browser.close()
        self.api.close()
