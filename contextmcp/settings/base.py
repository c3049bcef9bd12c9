"""Settings that all deployments share. A missing or malformed variable stops every process at start with one sentence."""

import shlex
from email.utils import formataddr
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONCE, NONE, SELF

from . import alerts
from .addresses import database, redis_connection
from .admin import theme
from .applications import *
from .environment import (
    CACHE_SCHEMES,
    DATABASE_SCHEMES,
    MAIL_SCHEMES,
    REPOSITORY,
    boolean,
    choice,
    color,
    comma_separated,
    integer,
    matching,
    required,
    share_metrics,
    subset,
    text,
    url,
)
from .identity import *

BASE_DIR = REPOSITORY

DEBUG = False
SECRET_KEY = required("SECRET_KEY", "enter a long random string; Django signs sessions with it")
# Previous values of SECRET_KEY, comma-separated. Sessions and links in emails that they signed stay valid while they are listed.
SECRET_KEY_FALLBACKS = comma_separated("SECRET_KEY_FALLBACKS")
# The function that returns the number of members that a plan allows. `accounts` cannot import it, because it is below entitlements.
SEAT_LIMIT = "contextmcp.web.entitled_seats.seat_limit"
# The plans and features that this deployment offers (docs/catalog.md). A relative path is relative to the repository.
CATALOG_FILE = BASE_DIR / text("CATALOG_FILE", "entitlements/catalog.toml")
# "live" or "test": the kind of API keys that this deployment creates and accepts.
KEY_ENVIRONMENT = choice("KEY_ENVIRONMENT", "live", ["live", "test"])

# The brand on pages and in emails.
PRODUCT_NAME = text("PRODUCT_NAME", "ContextMCP")
PRODUCT_TAGLINE = text("PRODUCT_TAGLINE", "Full context for every AI coding tool")
SUPPORT_EMAIL = text("SUPPORT_EMAIL")
# The color of links and buttons, on light and on dark backgrounds. Empty: the colors of static/web/site.css.
BRAND_COLOR = color("BRAND_COLOR")
BRAND_COLOR_DARK = color("BRAND_COLOR_DARK", BRAND_COLOR)

PUBLIC_URL = text("PUBLIC_URL", "http://localhost:3001").rstrip("/")
GATE_URL = text("GATE_URL", PUBLIC_URL).rstrip("/")
MCP_SERVER_URL = text("MCP_SERVER_URL", f"{PUBLIC_URL}/mcp")
# The file with the servers and prices of the MCP gateway, the URL that replaces the one in a file with a single server, and the origins of
# sites from which browsers may call the gateway.
MCP_PRICING_FILE = Path(text("MCP_PRICING_FILE")) if text("MCP_PRICING_FILE") else None
MCP_UPSTREAM_URL = text("MCP_UPSTREAM_URL")
# The command of a local server that customers can run instead, such as "contextmcp-stdio --pricing prices.toml -- notes-server". The
# instructions for MCP clients then include it.
MCP_STDIO_COMMAND = shlex.split(text("MCP_STDIO_COMMAND"))
MCP_ALLOWED_ORIGINS = comma_separated("MCP_ALLOWED_ORIGINS")
ALLOWED_HOSTS = comma_separated("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

# The languages of pages and emails, each with its own name. API responses, logs and the admin are English (contextmcp.common.locale).
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("fr", "Français")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "contextmcp.formats"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]

DATABASES = {"default": database(url("DATABASE_URL", required("DATABASE_URL", "enter a postgres:// URL"), DATABASE_SCHEMES))}
DATABASES["default"].update(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=True, TEST={"NAME": text("TEST_DATABASE_NAME") or None})
# Postgres connections that the threads of one web process share (see docs/operations.md for the calculation).
DATABASE_POOL_SIZE = integer("DATABASE_POOL_SIZE", 8, minimum=1)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Valkey or Redis is a cache and stores rate limits; correctness depends on Postgres alone. Without it everything but rate limits works.
REDIS_URL = text("REDIS_URL") and url("REDIS_URL", text("REDIS_URL"), CACHE_SCHEMES)
if REDIS_URL:
    redis_connection(REDIS_URL)  # Raises ImproperlyConfigured for a malformed URL.
CACHE_PREFIX = text("CACHE_PREFIX", "cmcp")
# Limits of sign-in, sign-up and password resets are counted in Postgres, so they work while Valkey is unavailable.
CACHES: dict[str, Any] = {
    "default": {
        "BACKEND": "contextmcp.common.json_cache.JSONDatabaseCache",
        "LOCATION": "sign_in_limits",
    }
}
if REDIS_URL:
    CACHES |= {
        "sessions": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": f"{CACHE_PREFIX}:django",
            "OPTIONS": {
                # JSON instead of pickle: write access to the cache must not allow code execution.
                "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
                "IGNORE_EXCEPTIONS": True,
                "SOCKET_CONNECT_TIMEOUT": 1,
                "SOCKET_TIMEOUT": 1,
            },
        }
    }
else:
    CACHES["sessions"] = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True
vars().update(environ.Env.email_url_config(url("EMAIL_URL", text("EMAIL_URL", "consolemail://"), MAIL_SCHEMES)))
# Emails are stored and delivered by a worker (contextmcp.common.emails). EMAIL_URL configures the backend that the worker uses.
EMAIL_DELIVERY_BACKEND = vars()["EMAIL_BACKEND"]
EMAIL_BACKEND = "contextmcp.common.emails.QueueBackend"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = text("DEFAULT_FROM_EMAIL", formataddr((PRODUCT_NAME, "hello@contextmcp.example")))

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiKeyAuthentication",
        "accounts.authentication.MemberSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["contextmcp.common.api.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "contextmcp.common.api.Negotiation",
    "DEFAULT_SCHEMA_CLASS": "contextmcp.common.openapi.Schema",
    "EXCEPTION_HANDLER": "contextmcp.common.problems.handle",
    "UNAUTHENTICATED_USER": None,
    # OPTIONS is not supported; the OpenAPI document describes the methods of each URL.
    "DEFAULT_METADATA_CLASS": None,
    "DATETIME_FORMAT": "iso-8601",
}
SPECTACULAR_SETTINGS = {
    "TITLE": PRODUCT_NAME,
    "DESCRIPTION": "Identity, entitlements, usage metering and billing for a hosted MCP server.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {},
    "COMPONENT_SPLIT_REQUEST": True,
    # Required fields are also required in PATCH requests.
    "COMPONENT_SPLIT_PATCH": False,
    "POSTPROCESSING_HOOKS": [
        "contextmcp.common.openapi.problem_schema",
        "contextmcp.common.openapi.closed_bodies",
        "contextmcp.common.openapi.describe_generated",
        "usage.api.openapi.allow_bare_array",
    ],
    "GET_LIB_DOC_EXCLUDES": "contextmcp.common.openapi.undescribed",
}

STRIPE_SECRET_KEY = text("STRIPE_SECRET_KEY")
# Two secrets during a rotation: "whsec_new,whsec_old".
STRIPE_WEBHOOK_SECRETS = comma_separated("STRIPE_WEBHOOK_SECRET")
STRIPE_API_BASE = text("STRIPE_API_BASE").rstrip("/")
STRIPE_API_VERSION = "2026-05-27.dahlia"
STRIPE_AUTOMATIC_TAX = boolean("STRIPE_AUTOMATIC_TAX", False)
STRIPE_LIVE_MODE = STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))
# IDs of Stripe prices by environment variable. The catalog names the variable of each price.
STRIPE_PRICE_IDS = matching(r"STRIPE_[A-Z0-9_]+_PRICE_ID")
BILLING_GRACE_DAYS = integer("BILLING_GRACE_DAYS", 7, minimum=0)
# Effect of a lost dispute or a full refund on the subscription: "keep" it, or "cancel" it immediately.
BILLING_REFUND_POLICY = choice("BILLING_REFUND_POLICY", "keep", ["keep", "cancel"])
# How many monthly payments an owner who is about to cancel may skip instead, once a year. 0: no pause is offered.
BILLING_PAUSE_PAYMENTS = integer("BILLING_PAUSE_PAYMENTS", 0, minimum=0)
# Maximum requests per minute that call Stripe, for each organization and each user.
BILLING_REQUESTS_PER_MINUTE = integer("BILLING_REQUESTS_PER_MINUTE", 30, minimum=1)
# Each organization can have only one trial. These identities can also have only one: "user", "email" (of an owner), "card"; or "none".
BILLING_TRIAL_ONCE_PER = subset("BILLING_TRIAL_ONCE_PER", "user,email,card", ["user", "email", "card"])
DJSTRIPE_SUBSCRIBER_MODEL = "accounts.Organization"
DJSTRIPE_SUBSCRIBER_MODEL_MIGRATION_DEPENDENCY = "0001_initial"
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
MIGRATION_MODULES = {"djstripe": "billing.stripe.djstripe_migrations"}

# Directory of the calls that were allowed while Postgres was unavailable and are not counted yet. If it is empty, such calls are never
# counted, and their responses contain `recorded: false`.
USAGE_SPOOL_DIR = text("USAGE_SPOOL_DIR")
# The part of an organization's rate limit that one of its API keys can use, in percent.
RATE_LIMIT_KEY_PERCENT = integer("RATE_LIMIT_KEY_PERCENT", 100, minimum=1, maximum=100)

# By default, webhooks are sent over https to public addresses only. True allows any address and http, for tests and local development.
WEBHOOKS_ALLOW_PRIVATE = boolean("WEBHOOKS_ALLOW_PRIVATE", False)

# Alerts to the operator: the recipients of emails (all superusers if empty), a webhook with the secret that signs it, a webhook of Slack or
# of a product that accepts the same format, and the thresholds (settings.alerts).
ALERT_EMAILS = alerts.addresses("ALERT_EMAILS")
ALERT_WEBHOOK_URL = alerts.webhook("ALERT_WEBHOOK_URL", private=WEBHOOKS_ALLOW_PRIVATE)
ALERT_WEBHOOK_SECRET = alerts.webhook_secret("ALERT_WEBHOOK_SECRET")
ALERT_SLACK_URL = alerts.webhook("ALERT_SLACK_URL", private=WEBHOOKS_ALLOW_PRIVATE)
ALERT_THRESHOLDS = alerts.thresholds()

# Postgres is the queue. Heartbeats are frequent, so that the jobs of a killed worker are retried within seconds.
PROCRASTINATE_IMPORT_PATHS = ["contextmcp.tasks"]
PROCRASTINATE_ON_APP_READY = "contextmcp.procrastinate_resilience.install"
PROCRASTINATE_WORKER_DEFAULTS = {
    "concurrency": integer("WORKER_CONCURRENCY", 4, minimum=1),
    "update_heartbeat_interval": 2,
    "stalled_worker_timeout": 8,
    "fetch_job_polling_interval": 2,
    "delete_jobs": "successful",
}

# Port of the worker's /livez and /metrics. 0 disables them.
WORKER_METRICS_PORT = integer("WORKER_METRICS_PORT", 0, minimum=0)
# Bearer token for /metrics. If it is empty, /metrics returns 404.
METRICS_TOKEN = text("METRICS_TOKEN")
share_metrics()
SECURITY_CONTACT = text("SECURITY_CONTACT")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "strict-origin-when-cross-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [
            SELF,
            "https://checkout.stripe.com",
            "https://billing.stripe.com",
            *([STRIPE_API_BASE] if STRIPE_API_BASE else []),
        ],
        "frame-ancestors": [NONE],
    },
}
# Maximum size of request bodies in bytes. The project has no file uploads, so no uploaded file is written to disk.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
# Number of threads of one web process, each of which handles one request at a time.
WEB_THREADS = integer("WEB_THREADS", 16, minimum=1)
# Maximum number of open connections of one gate process.
GATE_MAX_CONNECTIONS = integer("GATE_MAX_CONNECTIONS", 8192, minimum=16)
LOGGING_CONFIG = "contextmcp.common.logs.configure"
LOGGING = {"level": choice("LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]), "json": boolean("LOG_JSON", True)}
UNFOLD = theme(PRODUCT_NAME, BRAND_COLOR)
