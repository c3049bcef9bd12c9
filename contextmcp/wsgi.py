"""Django's WSGI application. `contextmcp.asgi` serves it with limits. Do not expose it on a port without them."""

from contextmcp.startup import set_up, stop

set_up("web")

from django.core.wsgi import get_wsgi_application  # noqa: E402 - needs the settings

_django = get_wsgi_application()

from billing.checks import check_named_prices  # noqa: E402 - can be imported once the apps are loaded
from billing.inbound.wsgi_shortcut import short_circuit_webhooks  # noqa: E402

for message in check_named_prices():
    # Customers must be charged what the pages say. Django's system checks stop the other processes.
    if message.is_serious():
        stop(message.msg)

application = short_circuit_webhooks(_django)
