"""The test suite: its servers come from tests/world.py, its Stripe is the simulator."""

import os

os.environ.setdefault("SECRET_KEY", "tests-only")
os.environ.setdefault("API_KEY_SECRETS", "1:" + "ab" * 32)
os.environ.setdefault("KEY_ENVIRONMENT", "test")
os.environ.setdefault("PUBLIC_URL", "http://localhost:3001")
# mypy and `manage.py check` read these settings with no server running.
os.environ.setdefault("DATABASE_URL", "postgres://contextmcp@127.0.0.1:1/contextmcp")
os.environ.setdefault("LOG_LEVEL", "WARNING")

# What a developer's .env says of Stripe, mail and addresses is not the tests' business.
for _name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "STRIPE_API_BASE", "MCP_SERVER_URL", "GATE_URL"):
    os.environ.setdefault(_name, "")

from .base import *

_worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
CACHE_PREFIX = f"{os.environ.get('CONTEXTMCP_TEST_KEY_PREFIX', 'test')}:{_worker}"
if REDIS_URL:
    CACHES["sessions"]["KEY_PREFIX"] = f"{CACHE_PREFIX}:django"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# 12 rounds cost a third of a second each; one test pins 12, the rest need not pay for it.
API_KEY_BCRYPT_ROUNDS = 4
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_AUTOREFRESH = True
WHITENOISE_USE_FINDERS = True
ACCOUNT_RATE_LIMITS = False
# Tests that are about it turn it on; the others sign staff in with `force_login`.
STAFF_SECOND_FACTOR = False
