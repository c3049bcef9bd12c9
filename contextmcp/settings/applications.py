"""Installed apps, middleware and templates."""

from .environment import REPOSITORY

INSTALLED_APPS = [
    # Unlike the default configuration of django-unfold, this one does not install its own admin site.
    "unfold.apps.BasicAppConfig",
    "contextmcp.common.admin_site.AdminSiteConfig",
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
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "contextmcp.common.locale.LocaleMiddleware",
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
    "contextmcp.backoffice.secret_searches.SecretSearchMiddleware",
]
ROOT_URLCONF = "contextmcp.urls"
WSGI_APPLICATION = "contextmcp.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [REPOSITORY / "templates"],
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
            "builtins": ["django.templatetags.i18n", "contextmcp.web.templatetags.branding", "contextmcp.web.templatetags.formats"],
        },
    }
]
