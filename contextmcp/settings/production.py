"""Production: everything secret is required, everything is over HTTPS."""

import re

from django.core.exceptions import ImproperlyConfigured

from .base import *
from .environment import required, switch

ALLOWED_HOSTS = [host for host in required("ALLOWED_HOSTS", "give the public host names, comma-separated").split(",") if host]
required("PUBLIC_URL", "give the address users see, such as https://contextmcp.example")
if not PUBLIC_URL.startswith("https://"):
    raise ImproperlyConfigured(f'PUBLIC_URL is "{PUBLIC_URL}": production is served over https://.')
required("EMAIL_URL", "give an address such as smtp+tls://user:password@host:587; invitations and receipts are mailed")
if STRIPE_SECRET_KEY and not re.fullmatch(r"(sk|rk)_(test|live)_[a-zA-Z0-9]{24,}", STRIPE_SECRET_KEY):
    raise ImproperlyConfigured("STRIPE_SECRET_KEY is malformed: give a key such as sk_live_ and at least 24 letters and digits.")
if STRIPE_SECRET_KEY and not STRIPE_WEBHOOK_SECRETS:
    raise ImproperlyConfigured("STRIPE_WEBHOOK_SECRET is not set: Stripe's events cannot be told from forged ones without it.")
if WEBHOOKS_ALLOW_PRIVATE:
    raise ImproperlyConfigured("WEBHOOKS_ALLOW_PRIVATE is set: in production webhooks never go to private addresses.")
SECURE_SSL_REDIRECT = switch("SECURE_SSL_REDIRECT", True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
