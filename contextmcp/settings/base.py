"""Settings that all deployments share. A missing or malformed variable stops every process at start with one sentence."""

from email.utils import formataddr
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONCE, NONE, SELF

from contextmcp.common.secrets import parse_key_secrets, parse_rsa_keys, parse_signing_keys

from . import alerts
from .addresses import database, redis_connection
from .admin import theme
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

BASE_DIR = REPOSITORY

DEBUG = False
SECRET_KEY = required("SECRET_KEY", "enter a long random string; Django signs sessions with it")
# Previous values of SECRET_KEY, comma-separated. Sessions and links in emails that they signed stay valid while they are listed.
SECRET_KEY_FALLBACKS = comma_separated("SECRET_KEY_FALLBACKS")
# The version for new keys first: "2:<hex>,1:<hex>". When a key of another version is used, its HMAC is replaced by one of the first
# version, if that has a higher number. bcrypt is only used for keys whose version was removed.
API_KEY_SECRETS = parse_key_secrets(required("API_KEY_SECRETS", 'enter "1:" and 64 hexadecimal digits; API keys are verified with it'))
API_KEY_BCRYPT_ROUNDS = 12
# Seeds of the Ed25519 keys that sign entitlements tokens and assertions for upstream servers. The first one signs, all are published.
SIGNING_KEYS = parse_signing_keys(text("SIGNING_KEY"))
# How long software may use an entitlements token without asking again, and how much longer while it cannot reach this server.
ENTITLEMENTS_TOKEN_MINUTES = integer("ENTITLEMENTS_TOKEN_MINUTES", 60, minimum=1)
ENTITLEMENTS_TOKEN_GRACE_HOURS = integer("ENTITLEMENTS_TOKEN_GRACE_HOURS", 72, minimum=0)
# Maximum number of active keys per organization, and of keys created per hour (including rotations and take-overs). Each needs bcrypt.
API_KEYS_PER_ORGANIZATION = integer("API_KEYS_PER_ORGANIZATION", 100, minimum=1)
API_KEYS_PER_HOUR = integer("API_KEYS_PER_HOUR", 60, minimum=1)
# Maximum number of invitation emails, including resent ones: per organization and per member, and per recipient from one organization
# (three times as many from all organizations together).
INVITATIONS_PER_HOUR = integer("INVITATIONS_PER_HOUR", 20, minimum=1)
INVITATIONS_PER_DAY = integer("INVITATIONS_PER_DAY", 50, minimum=1)
INVITATIONS_PER_RECIPIENT_PER_DAY = integer("INVITATIONS_PER_RECIPIENT_PER_DAY", 3, minimum=1)
# Maximum number of organizations that a user with a confirmed address may own. Without a confirmed address it is one.
ORGANIZATIONS_PER_USER = integer("ORGANIZATIONS_PER_USER", 10, minimum=1)
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
# The file with the servers and prices of the MCP gateway, the URL of its only server if it is another one than in the file, and the sites
# from which browsers may call it.
MCP_PRICING_FILE = Path(text("MCP_PRICING_FILE")) if text("MCP_PRICING_FILE") else None
MCP_UPSTREAM_URL = text("MCP_UPSTREAM_URL")
MCP_ALLOWED_ORIGINS = comma_separated("MCP_ALLOWED_ORIGINS")
ALLOWED_HOSTS = comma_separated("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.idp.oidc",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "procrastinate.contrib.django",
    "djstripe",
    "contextmcp.common",
    "accounts",
    "entitlements",
    "usage",
    "billing",
    "contextmcp.web",
    "contextmcp.backoffice",
]
MIDDLEWARE = [
    "contextmcp.common.middleware.RequestIdMiddleware",
    # Adds random bytes, so that the length of a compressed response does not reveal a token in it (BREACH).
    "django.middleware.gzip.GZipMiddleware",
    "contextmcp.common.locale.LocaleMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "contextmcp.common.headers.SecurityHeadersMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.sessions.SessionAgeMiddleware",
    "contextmcp.backoffice.impersonation.middleware.ImpersonationMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "contextmcp.web.error_pages.MethodNotAllowedMiddleware",
    "contextmcp.backoffice.bad_request.AdminBadRequestMiddleware",
    "contextmcp.backoffice.access_log.StaffAccessMiddleware",
    "contextmcp.backoffice.second_factor.StaffSecondFactorMiddleware",
    "contextmcp.backoffice.reauthentication.RecentAuthenticationMiddleware",
]
ROOT_URLCONF = "contextmcp.urls"
WSGI_APPLICATION = "contextmcp.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "contextmcp.web.context.site",
            ],
            # Templates of emails and errors, which are rendered without a request, also contain the product's name.
            "builtins": ["contextmcp.web.templatetags.branding"],
        },
    }
]
LANGUAGE_CODE = "en-us"
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
CSRF_FAILURE_VIEW = "contextmcp.web.error_pages.csrf_failure"
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
SESSION_CACHE_ALIAS = "sessions"
# JSON instead of pickle, for the same reason as in the cache.
SESSION_SERIALIZER = "django.contrib.sessions.serializers.JSONSerializer"
# Seconds since sign-in and since the last request after which a session ends. Sessions of staff have shorter limits.
SESSION_LIMITS = {
    "age": integer("SESSION_MAX_HOURS", 14 * 24, minimum=1) * 3600,
    "idle": integer("SESSION_IDLE_HOURS", 3 * 24, minimum=1) * 3600,
}
STAFF_SESSION_LIMITS = {
    "age": integer("STAFF_SESSION_MAX_HOURS", 8, minimum=1, maximum=8) * 3600,
    "idle": integer("STAFF_SESSION_IDLE_MINUTES", 30, minimum=5) * 60,
}
SESSION_COOKIE_AGE = max(SESSION_LIMITS["age"], STAFF_SESSION_LIMITS["age"])
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "accounts.passwords.MaximumLengthValidator", "OPTIONS": {"max_length": 128}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "pricing"
# Number of trusted proxies in front of this server. Each appends its client's address to X-Forwarded-For.
TRUSTED_PROXIES = integer("TRUSTED_PROXIES", 0, minimum=0)
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXIES
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_FORMS = {
    "signup": "accounts.forms.SignupForm",
    "add_email": "accounts.forms.AddEmailForm",
    "reset_password": "accounts.forms.ResetPasswordForm",
}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# Users are signed in only after they confirmed their address. Sign-up can therefore respond identically whether an account exists or not.
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_PREVENT_ENUMERATION = "strict"
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
# Failed sign-ins of one account: from one network, and from all networks that the account was not used from before. An attacker on
# another network therefore cannot lock the owner out. All other limits are allauth's defaults.
ACCOUNT_RATE_LIMITS: Any = {"login_failed": "10/m/ip,5/5m/key", "login_failed_elsewhere": "50/h/key"}
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
# Limits by client address treat an IPv6 /64 network as one client (RFC 6177).
ALLAUTH_RATE_LIMIT_IPV6_PREFIX = 64
# Changes of addresses, passwords, second factors and billing require authentication within the last 30 minutes (ASVS 3.3.2).
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 30 * 60
MFA_ADAPTER = "accounts.second_factors.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True

# OAuth 2.1 for MCP clients that cannot be given an API key (accounts.oauth). The issuer is PUBLIC_URL. Without a key it is off.
IDP_OIDC_PRIVATE_KEYS = parse_rsa_keys(text("OAUTH_PRIVATE_KEY"))
OAUTH_ENABLED = bool(IDP_OIDC_PRIVATE_KEYS)
IDP_OIDC_ADAPTER = "accounts.oauth.adapter.OAuthAdapter"
IDP_OIDC_CIMD_ENABLED = True
# Clients without a metadata document register themselves, without a credential (RFC 7591). Those that no user connected are deleted.
IDP_OIDC_DCR_ENABLED = boolean("OAUTH_DYNAMIC_REGISTRATION", True)
IDP_OIDC_DCR_REQUIRES_INITIAL_ACCESS_TOKEN = False
IDP_OIDC_RATE_LIMITS = {"client_registration": "10/m/ip", "cimd_fetch": "20/m/ip"}
IDP_OIDC_ACCESS_TOKEN_EXPIRES_IN = 3600

# The admin requires a second factor. No environment variable disables this in production.
STAFF_SECOND_FACTOR = True

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
# Price ids that the environment configures, by variable. The catalog defines the variable of each price.
STRIPE_PRICE_IDS = matching(r"STRIPE_[A-Z0-9_]+_PRICE_ID")
BILLING_GRACE_DAYS = integer("BILLING_GRACE_DAYS", 7, minimum=0)
# Effect of a lost dispute or a full refund on the subscription: "keep" it, or "cancel" it immediately.
BILLING_REFUND_POLICY = choice("BILLING_REFUND_POLICY", "keep", ["keep", "cancel"])
# Maximum requests per minute that call Stripe, for each organization and each user.
BILLING_REQUESTS_PER_MINUTE = integer("BILLING_REQUESTS_PER_MINUTE", 30, minimum=1)
# Who may have only one trial in addition to each organization: "user", "email" (of an owner), "card"; or "none".
BILLING_TRIAL_ONCE_PER = subset("BILLING_TRIAL_ONCE_PER", "user,email,card", ["user", "email", "card"])
DJSTRIPE_SUBSCRIBER_MODEL = "accounts.Organization"
DJSTRIPE_SUBSCRIBER_MODEL_MIGRATION_DEPENDENCY = "0001_initial"
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
MIGRATION_MODULES = {"djstripe": "billing.stripe.djstripe_migrations"}

# Directory of the calls that were allowed while Postgres was unavailable and are not counted yet. If it is empty, such calls are never
# counted, and their responses contain `recorded: false`.
USAGE_SPOOL_DIR = text("USAGE_SPOOL_DIR")

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
