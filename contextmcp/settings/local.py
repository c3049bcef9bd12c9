"""Settings of local development and the demo: readable logs, plain HTTP, test keys."""

import os

os.environ.setdefault("KEY_ENVIRONMENT", "test")
os.environ.setdefault("LOG_JSON", "false")
# Trials are not limited by card, because all local users pay with the same test card.
os.environ.setdefault("BILLING_TRIAL_ONCE_PER", "user,email")

from .base import *
from .environment import boolean

DEBUG = boolean("DEBUG", False)
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
# The local admin accepts the printed password. "true" requires a second factor, as in production.
STAFF_SECOND_FACTOR = boolean("STAFF_SECOND_FACTOR", False)
WEBHOOKS_ALLOW_PRIVATE = boolean("WEBHOOKS_ALLOW_PRIVATE", True)
