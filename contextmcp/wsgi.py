import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "contextmcp.settings.production")
_django = get_wsgi_application()

from billing.webhooks.front import in_front  # noqa: E402 - apps exist only now

application = in_front(_django)
