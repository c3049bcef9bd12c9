"""The web server's application: `granian --interface asginl contextmcp.asgi:application`."""

from .wsgi import application as wsgi_application  # isort: skip - loads the settings

from django.conf import settings
from django.db.backends.signals import connection_created

from .common.asgi import Bridge
from .common.db import limit_waiting

connection_created.connect(limit_waiting)
application = Bridge(wsgi_application, threads=settings.WEB_THREADS, body_limit=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
