"""Settings of production. Secrets are required, and all traffic uses HTTPS."""

from .base import *
from .environment import boolean, required
from .validation import validate_production

ALLOWED_HOSTS = [host for host in required("ALLOWED_HOSTS", "enter the public host names, comma-separated").split(",") if host]
required("PUBLIC_URL", "enter the public URL, such as https://contextmcp.example")
required("EMAIL_URL", "enter a URL such as smtp+tls://user:password@host:587; invitations and receipts are sent by email")
required("DEFAULT_FROM_EMAIL", "enter the sender address of emails, at a domain that you own")
validate_production(globals())
SECURE_SSL_REDIRECT = boolean("SECURE_SSL_REDIRECT", True)
# Without a trusted proxy, any client could send this header.
if TRUSTED_PROXIES > 0:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000
# Browsers then refuse http for all subdomains for a year, including those of other services.
SECURE_HSTS_INCLUDE_SUBDOMAINS = boolean("SECURE_HSTS_INCLUDE_SUBDOMAINS", False)
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
# Browsers accept the __Host- prefix only from this exact host, over https and with path "/" (RFC 6265bis, 4.1.3.2).
SESSION_COOKIE_NAME = "__Host-sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
