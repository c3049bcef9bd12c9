"""Django's WSGI application. `contextmcp.asgi` serves it with limits; do not put it on a port without."""

from contextmcp.startup import load_settings

load_settings()

from django.core.wsgi import get_wsgi_application  # noqa: E402 - needs the settings

_django = get_wsgi_application()

from billing.webhooks.front import in_front  # noqa: E402 - apps exist only now

application = in_front(_django)
