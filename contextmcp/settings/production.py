"""Production: everything secret is required, everything is over HTTPS."""

from .base import *
from .environment import required, switch
from .validation import validate_production

ALLOWED_HOSTS = [host for host in required("ALLOWED_HOSTS", "give the public host names, comma-separated").split(",") if host]
required("PUBLIC_URL", "give the address users see, such as https://contextmcp.example")
required("EMAIL_URL", "give an address such as smtp+tls://user:password@host:587; invitations and receipts are mailed")
required("DEFAULT_FROM_EMAIL", 'give the sender of mails, such as "ContextMCP <hello@contextmcp.example>"')
validate_production(globals())
SECURE_SSL_REDIRECT = switch("SECURE_SSL_REDIRECT", True)
# Without a proxy of ours in front, anybody may send the header.
if TRUSTED_PROXIES > 0:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000
# Browsers then refuse http for every subdomain for a year, also for those that are not ours.
SECURE_HSTS_INCLUDE_SUBDOMAINS = switch("SECURE_HSTS_INCLUDE_SUBDOMAINS", False)
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
# Browsers take these names only from this very host, over https and for the whole path (RFC 6265bis, 4.1.3.2).
SESSION_COOKIE_NAME = "__Host-sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
