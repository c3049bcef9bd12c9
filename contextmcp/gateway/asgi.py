"""The gateway's application: `granian --interface asgi contextmcp.gateway.asgi:application`."""

import gc

from django.conf import settings

from contextmcp.startup import refuse_transaction_pooling, set_up

set_up("gateway")

from contextmcp.common.pool import use_pool  # noqa: E402 - Django must be set up first
from contextmcp.gate.authentication import AUTHENTICATION_THREADS, Authenticator  # noqa: E402
from contextmcp.gate.driver import DATABASE_THREADS, AsyncDriver  # noqa: E402

from .app import GatewayApp, Receive, Scope, Send  # noqa: E402
from .configuration import load_servers  # noqa: E402

refuse_transaction_pooling()
# A connection for each thread, so that no thread waits for one: those of the gate's parts, and the one of readiness and metrics.
use_pool(AUTHENTICATION_THREADS + DATABASE_THREADS + 1)


class Application:
    """Creates the gateway when the server starts, on its event loop, and closes it when the server stops."""

    def __init__(self) -> None:
        self._gateway: GatewayApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._gateway is not None:
            await self._gateway(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                self._gateway = _create()
                # The objects that exist now stay. Examining them in each collection would free nothing.
                gc.collect()
                gc.freeze()
                gc.set_threshold(50_000, 20, 50)
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._gateway is not None:
                    await self._gateway.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _create() -> GatewayApp:
    return GatewayApp(
        load_servers(),
        Authenticator(),
        AsyncDriver(),
        AsyncDriver(),
        public_url=settings.MCP_SERVER_URL,
        allowed_origins=settings.MCP_ALLOWED_ORIGINS,
    )


application = Application()
