"""Settings of the test suite. tests/plugin_services.py starts its servers; Stripe is the simulator."""

import os

from contextmcp.common.secrets import generate_rsa_key

os.environ.setdefault("SECRET_KEY", "tests-only")
os.environ.setdefault("API_KEY_SECRETS", "1:" + "ab" * 32)
os.environ.setdefault("SIGNING_KEY", "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=")
os.environ.setdefault("KEY_ENVIRONMENT", "test")
os.environ.setdefault("PUBLIC_URL", "http://localhost:3001")
# mypy and `manage.py check` load these settings without a running server.
os.environ.setdefault("DATABASE_URL", "postgres://contextmcp@127.0.0.1:1/contextmcp")
os.environ.setdefault("LOG_LEVEL", "WARNING")
# Trials are not limited by card, because all customers in tests pay with the same cards. Tests of trials override this.
os.environ.setdefault("BILLING_TRIAL_ONCE_PER", "user,email")

# Values for Stripe and URLs in a developer's .env must not affect the tests.
for _name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "STRIPE_API_BASE", "MCP_SERVER_URL", "GATE_URL"):
    os.environ.setdefault(_name, "")

# The key is set in the environment, because test workers and processes that tests start inherit it and need not generate another one.
if not os.environ.get("OAUTH_PRIVATE_KEY"):
    os.environ["OAUTH_PRIVATE_KEY"] = generate_rsa_key()

from .base import *

_worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
CACHE_PREFIX = f"{os.environ.get('CONTEXTMCP_TEST_KEY_PREFIX', 'test')}:{_worker}"
if REDIS_URL:
    CACHES["sessions"]["KEY_PREFIX"] = f"{CACHE_PREFIX}:django"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# 12 rounds take a third of a second per key. One test checks that production uses 12.
API_KEY_BCRYPT_ROUNDS = 4
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_AUTOREFRESH = True
WHITENOISE_USE_FINDERS = True
ACCOUNT_RATE_LIMITS = False
# Tests of the second factor enable it; all others sign staff in with `force_login`.
STAFF_SECOND_FACTOR = False
