"""What every deployment shares. It fails closed: what is missing or malformed stops start-up with a sentence that names it."""

from typing import Any

import environ
from csp.constants import NONCE, NONE, SELF

from contextmcp.common.secrets import parse_key_secrets

from .admin import UNFOLD  # noqa: F401
from .environment import (
    CACHE_SCHEMES,
    DATABASE_SCHEMES,
    MAIL_SCHEMES,
    REPOSITORY,
    address,
    choice,
    number,
    required,
    several,
    switch,
    text,
)

BASE_DIR = REPOSITORY

DEBUG = False
SECRET_KEY = required("SECRET_KEY", "give a long random string; Django signs sessions with it")
# Former values of SECRET_KEY, comma-separated: what they signed (sessions, links in mails) stays valid while they stand here.
SECRET_KEY_FALLBACKS = several("SECRET_KEY_FALLBACKS")
# The one for new keys first: "2:<hex>,1:<hex>". A key made under another one of these moves to the first when it is used, if that has a
# higher number. bcrypt is asked only about keys of a secret that is gone.
API_KEY_SECRETS = parse_key_secrets(required("API_KEY_SECRETS", 'give "1:" and 64 hexadecimal digits; API keys are recognised with it'))
API_KEY_BCRYPT_ROUNDS = 12
# Active keys of an organization, and keys it may create (rotations and adoptions included) within an hour. Each costs a bcrypt hash.
API_KEYS_PER_ORGANIZATION = number("API_KEYS_PER_ORGANIZATION", 100, least=1)
API_KEYS_PER_HOUR = number("API_KEYS_PER_HOUR", 60, least=1)
# Mails of invitations, resent ones included: of an organization and of a member, and to one address from one organization (three times as
# many from all organizations together).
INVITATIONS_PER_HOUR = number("INVITATIONS_PER_HOUR", 20, least=1)
INVITATIONS_PER_DAY = number("INVITATIONS_PER_DAY", 50, least=1)
INVITATIONS_PER_RECIPIENT_PER_DAY = number("INVITATIONS_PER_RECIPIENT_PER_DAY", 3, least=1)
# Organizations that a user with a confirmed address may own. Without a confirmed address it is one.
ORGANIZATIONS_PER_USER = number("ORGANIZATIONS_PER_USER", 10, least=1)
# What tells accounts how many members a plan allows.
SEAT_LIMIT = "contextmcp.site.seats.seat_limit"
# "live" or "test": the kind of API keys this deployment makes and takes.
KEY_ENVIRONMENT = choice("KEY_ENVIRONMENT", "live", ["live", "test"])

PUBLIC_URL = text("PUBLIC_URL", "http://localhost:3001").rstrip("/")
GATE_URL = text("GATE_URL", PUBLIC_URL).rstrip("/")
MCP_SERVER_URL = text("MCP_SERVER_URL", f"{PUBLIC_URL}/mcp")
ALLOWED_HOSTS = several("ALLOWED_HOSTS")
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
    "contextmcp.site",
]
MIDDLEWARE = [
    "contextmcp.common.middleware.RequestIdMiddleware",
    # Adds random bytes, so that the length of an answer does not tell a token in it (BREACH).
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
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "contextmcp.site.unreadable.UnreadableMiddleware",
    "contextmcp.site.second_factor.StaffSecondFactorMiddleware",
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
                "contextmcp.site.context.site",
            ]
        },
    }
]
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]

DATABASES = {
    "default": environ.Env.db_url_config(address("DATABASE_URL", required("DATABASE_URL", "give a postgres:// address"), DATABASE_SCHEMES))
}
DATABASES["default"].update(
    CONN_MAX_AGE=None,
    CONN_HEALTH_CHECKS=True,
    TEST={"NAME": text("TEST_DATABASE_NAME") or None},
    # A machine that froze refuses nothing: without limits its connections wait for ever. What the address says of them comes first,
    # and a Unix socket minds only the first.
    OPTIONS={
        "connect_timeout": 3,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        **DATABASES["default"].get("OPTIONS", {}),
    },
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Valkey or Redis makes things fast; the database alone keeps them right. Without an address everything but rate limits works.
REDIS_URL = text("REDIS_URL") and address("REDIS_URL", text("REDIS_URL"), CACHE_SCHEMES)
CACHE_PREFIX = text("CACHE_PREFIX", "cmcp")
# Limits of sign-in, sign-up and password resets are counted in Postgres: they hold, and let people in, while Valkey is away.
CACHES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "sign_in_limits",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
if REDIS_URL:
    CACHES |= {
        "sessions": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": f"{CACHE_PREFIX}:django",
            "OPTIONS": {
                # Not pickles: who can write to the cache must not be able to run code here.
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
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
SESSION_CACHE_ALIAS = "sessions"
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
# How many proxies of ours stand in front, each adding to X-Forwarded-For whom it saw.
TRUSTED_PROXIES = number("TRUSTED_PROXIES", 0, least=0)
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
ACCOUNT_EMAIL_VERIFICATION = "optional"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
# Limits by address count an IPv6 customer's whole network (RFC 6177) as one.
ALLAUTH_RATE_LIMIT_IPV6_PREFIX = 64
# Addresses, passwords, second factors and money are changed by who gave the password within the last 30 minutes (ASVS 3.3.2).
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 30 * 60
MFA_ADAPTER = "accounts.second_factors.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
# The admin opens only to staff who proved a second factor. No environment variable turns this off in production.
STAFF_SECOND_FACTOR = True

vars().update(environ.Env.email_url_config(address("EMAIL_URL", text("EMAIL_URL", "consolemail://"), MAIL_SCHEMES)))
# What is sent is stored and delivered by a worker (contextmcp.common.emails); what the address names is how the worker does it.
EMAIL_DELIVERY_BACKEND = vars()["EMAIL_BACKEND"]
EMAIL_BACKEND = "contextmcp.common.emails.QueueBackend"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = text("DEFAULT_FROM_EMAIL", "ContextMCP <hello@contextmcp.example>")

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
    # OPTIONS is a method like the others that an address does not take: the document says what each takes.
    "DEFAULT_METADATA_CLASS": None,
    "DATETIME_FORMAT": "iso-8601",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "ContextMCP",
    "DESCRIPTION": "Who is asking, may they do this, how much is left, and who pays.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {},
    "COMPONENT_SPLIT_REQUEST": True,
    # What a PATCH here must name, it must name.
    "COMPONENT_SPLIT_PATCH": False,
    "POSTPROCESSING_HOOKS": ["contextmcp.common.openapi.closed_bodies", "usage.api.openapi.or_an_array"],
    "GET_LIB_DOC_EXCLUDES": "contextmcp.common.openapi.undescribed",
}

STRIPE_SECRET_KEY = text("STRIPE_SECRET_KEY")
# Two while one rolls: "whsec_new,whsec_old".
STRIPE_WEBHOOK_SECRETS = several("STRIPE_WEBHOOK_SECRET")
STRIPE_API_BASE = text("STRIPE_API_BASE").rstrip("/")
STRIPE_API_VERSION = "2026-05-27.dahlia"
STRIPE_AUTOMATIC_TAX = switch("STRIPE_AUTOMATIC_TAX", False)
STRIPE_LIVE_MODE = STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))
STRIPE_PRICE_IDS = {
    ("pro", "month"): text("STRIPE_PRO_MONTHLY_PRICE_ID"),
    ("pro", "year"): text("STRIPE_PRO_YEARLY_PRICE_ID"),
    ("enterprise", "month"): text("STRIPE_ENTERPRISE_MONTHLY_PRICE_ID"),
    ("enterprise", "year"): text("STRIPE_ENTERPRISE_YEARLY_PRICE_ID"),
}
BILLING_GRACE_DAYS = number("BILLING_GRACE_DAYS", 7, least=0)
# What a lost dispute, or a refund of everything, does to the subscription: "keep" it, or "cancel" it at once.
BILLING_REFUND_POLICY = choice("BILLING_REFUND_POLICY", "keep", ["keep", "cancel"])
DJSTRIPE_SUBSCRIBER_MODEL = "accounts.Organization"
DJSTRIPE_SUBSCRIBER_MODEL_MIGRATION_DEPENDENCY = "0001_initial"
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
MIGRATION_MODULES = {"djstripe": "billing.djstripe_migrations"}

# The folder where calls that were granted while Postgres was away wait until they are counted. Empty: none, and the answers say so.
USAGE_SPOOL_DIR = text("USAGE_SPOOL_DIR")

# Webhooks to customers go over https to the public internet alone. True lets them go anywhere, over http too: for tests and a local world.
WEBHOOKS_ALLOW_PRIVATE = switch("WEBHOOKS_ALLOW_PRIVATE", False)

# Postgres is the queue. Hearts beat fast, so that the job of a killed worker is taken up again within seconds.
PROCRASTINATE_IMPORT_PATHS = ["contextmcp.tasks"]
PROCRASTINATE_ON_APP_READY = "contextmcp.listening.install"
PROCRASTINATE_WORKER_DEFAULTS = {
    "concurrency": number("WORKER_CONCURRENCY", 4, least=1),
    "update_heartbeat_interval": 2,
    "stalled_worker_timeout": 8,
    "fetch_job_polling_interval": 2,
    "delete_jobs": "successful",
}

# Prometheus sends it as a bearer token. Empty: /metrics is not found.
METRICS_TOKEN = text("METRICS_TOKEN")
SECURITY_CONTACT = text("SECURITY_CONTACT")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "strict-origin-when-cross-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "EXCLUDE_URL_PREFIXES": ("/admin",),
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
# Bodies are at most this large everywhere. Nothing is uploaded here, so no file of a form is ever written to disk.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
# Requests that one web process works on at a time, each in a thread of its own.
WEB_THREADS = number("WEB_THREADS", 16, least=1)
LOGGING_CONFIG = "contextmcp.common.logs.configure"
LOGGING = {"level": choice("LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]), "json": switch("LOG_JSON", True)}
