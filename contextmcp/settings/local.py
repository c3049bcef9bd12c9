"""A developer's machine and the demo: readable logs, plain HTTP, test keys."""

import os

os.environ.setdefault("KEY_ENVIRONMENT", "test")
os.environ.setdefault("LOG_JSON", "false")

from .base import *
from .environment import switch

DEBUG = switch("DEBUG", False)
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
# The admin of a world on this machine opens with the printed password; "true" asks for a second factor as production does.
STAFF_SECOND_FACTOR = switch("STAFF_SECOND_FACTOR", False)
WEBHOOKS_ALLOW_PRIVATE = switch("WEBHOOKS_ALLOW_PRIVATE", True)
