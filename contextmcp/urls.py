"""Every address of the product, composed from its apps."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from contextmcp.common import health

# Staff sign in as everybody does: with their second factor, and no oftener than anybody may try.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
urlpatterns = [
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/", include("accounts.api.urls")),
    path("api/", include("entitlements.api.urls")),
    path("api/", include("usage.api.urls")),
    path("api/", include("billing.api.urls")),
    path("accounts/", include("allauth.urls")),
    path("", include("contextmcp.site.urls")),
]
handler400 = "contextmcp.common.problems.bad_request"
handler403 = "contextmcp.common.problems.forbidden"
handler404 = "contextmcp.common.problems.not_found"
handler500 = "contextmcp.common.problems.server_error"
