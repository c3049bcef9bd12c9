"""The web server's application: `granian --interface asginl contextmcp.asgi:application`."""

from .wsgi import application as wsgi_application  # isort: skip - loads the settings

from django.conf import settings

from .common.asgi import Bridge
from .common.db import limit_waiting
from .common.pool import use_pool
from .startup import refuse_transaction_pooling

refuse_transaction_pooling()
use_pool(settings.DATABASE_POOL_SIZE, limit_waiting)
application = Bridge(wsgi_application, threads=settings.WEB_THREADS, body_limit=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
