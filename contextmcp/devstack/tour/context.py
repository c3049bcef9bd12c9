"""The state that the steps of the tour share."""

from dataclasses import dataclass, field
from typing import Any

from contextmcp.devstack.stack import World

from .browser import Api, Browser
from .offer import Offer, read_offer
from .stripe_side import StripeSide


@dataclass
class Journey:
    """The tour of one customer: the browser, the key, Stripe's side, and values from earlier steps."""

    world: World
    stripe: StripeSide
    email: str
    password: str
    browser: Browser = field(default_factory=Browser)
    api: Api = field(init=False)
    free_key: str = ""
    # The client configuration on the page of the first key: the MCP server's `url` and `headers`. `tools` are the tools that the server
    # lists.
    mcp_configuration: dict[str, Any] = field(default_factory=dict)
    tools: list[str] = field(default_factory=list)
    service_key: str = ""
    offer: Offer = field(init=False)
    organization: dict[str, Any] = field(default_factory=dict)
    checkout: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api = Api(self.world.url)
        self.offer = read_offer(self.api)

    def close(self) -> None:
        self.browser.close()
        self.api.close()
