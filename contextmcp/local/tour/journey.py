"""What the tour carries from step to step."""

from dataclasses import dataclass, field
from typing import Any

from contextmcp.local.world import World

from .browser import Api, Browser
from .stripe_side import StripeSide


@dataclass
class Journey:
    """One customer's walk: their browser, their key, their side of Stripe, and what they have learned so far."""

    world: World
    stripe: StripeSide
    email: str
    password: str
    browser: Browser = field(default_factory=Browser)
    api: Api = field(init=False)
    free_key: str = ""
    service_key: str = ""
    organization: dict[str, Any] = field(default_factory=dict)
    checkout: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api = Api(self.world.url)

    def close(self) -> None:
        self.browser.close()
        self.api.close()
