"""The URLs of the product, composed from those of its apps."""

from allauth.account.decorators import secure_admin_login
from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from contextmcp.common import health, metrics, signing, wellknown

# Staff sign in on the same page as customers, with a second factor and the same limits of attempts.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
# Swagger UI uses inline styles. Its script has a separate URL.
docs = csp_update({"style-src": [UNSAFE_INLINE]})(SpectacularSwaggerSplitView.as_view(url_name="schema"))
urlpatterns = [
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("robots.txt", wellknown.robots),
    path("favicon.ico", wellknown.favicon),
    path(".well-known/security.txt", wellknown.security),
    path(signing.JWKS_PATH, wellknown.jwks, name="signing-keys"),
    path("", include("accounts.oauth.urls")),
    path("admin/", include("contextmcp.backoffice.urls")),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", docs, name="docs"),
    path("api/", include("accounts.api.urls")),
    path("api/", include("entitlements.api.urls")),
    path("api/", include("usage.api.urls")),
    path("api/", include("billing.api.urls")),
    path("accounts/", include("contextmcp.web.personal_urls")),
    path("accounts/", include("allauth.urls")),
    path("", include("contextmcp.web.urls")),
]
handler400 = "contextmcp.common.problems.bad_request"
handler403 = "contextmcp.common.problems.forbidden"
handler404 = "contextmcp.common.problems.not_found"
handler429 = "contextmcp.web.error_pages.too_many_requests"
handler500 = "contextmcp.common.problems.server_error"
