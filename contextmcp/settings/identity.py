"""API keys, invitations, sessions, sign-in and OAuth."""

from typing import Any

from contextmcp.common.secrets import parse_key_secrets, parse_rsa_keys, parse_signing_keys

from .environment import boolean, integer, required, text

# Versioned server secrets: "2:<hex>,1:<hex>". The first one is used for new keys. When a key with a lower version is used, its HMAC is
# replaced by one under the first secret. bcrypt is only used for keys whose version was removed.
API_KEY_SECRETS = parse_key_secrets(required("API_KEY_SECRETS", 'enter "1:" and 64 hexadecimal digits; API keys are verified with it'))
API_KEY_BCRYPT_ROUNDS = 12
# Seeds of the Ed25519 keys for entitlements tokens and assertions for upstream servers. The first key signs; all public keys are published.
SIGNING_KEYS = parse_signing_keys(text("SIGNING_KEY"))
# Lifetime of an entitlements token, and how much longer software that cannot reach this server may use it.
ENTITLEMENTS_TOKEN_MINUTES = integer("ENTITLEMENTS_TOKEN_MINUTES", 60, minimum=1)
ENTITLEMENTS_TOKEN_GRACE_HOURS = integer("ENTITLEMENTS_TOKEN_GRACE_HOURS", 72, minimum=0)
# Maximum number of active keys per organization, and of keys created per hour (including rotations and take-overs), because creating a key
# takes about 0.3 s of CPU time (bcrypt).
API_KEYS_PER_ORGANIZATION = integer("API_KEYS_PER_ORGANIZATION", 100, minimum=1)
API_KEYS_PER_HOUR = integer("API_KEYS_PER_HOUR", 60, minimum=1)
# Maximum number of invitation emails, including resent ones: per organization and per member, and per recipient from one organization
# (three times as many from all organizations together).
INVITATIONS_PER_HOUR = integer("INVITATIONS_PER_HOUR", 20, minimum=1)
INVITATIONS_PER_DAY = integer("INVITATIONS_PER_DAY", 50, minimum=1)
INVITATIONS_PER_RECIPIENT_PER_DAY = integer("INVITATIONS_PER_RECIPIENT_PER_DAY", 3, minimum=1)
# Maximum number of organizations that a user with a confirmed address may own. Without a confirmed address it is one.
ORGANIZATIONS_PER_USER = integer("ORGANIZATIONS_PER_USER", 10, minimum=1)

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
    "change_password": "accounts.password_forms.ChangePasswordForm",
    "set_password": "accounts.password_forms.SetPasswordForm",
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
MFA_FORMS = {"add_webauthn": "accounts.passkey_forms.AddPasskeyForm"}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True

# OAuth 2.1 for MCP clients that cannot be given an API key (accounts.oauth). The issuer is PUBLIC_URL. Without a key, OAuth is disabled.
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
