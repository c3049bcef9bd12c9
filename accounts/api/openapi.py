"""Security schemes of the OpenAPI document."""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes authentication with a customer's API key."""

    target_class = "accounts.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the security scheme object (OpenAPI 3.1, 4.8.27)."""
        return {"type": "http", "scheme": "bearer", "description": "An API key: cmcp_sk_live_... or cmcp_sk_test_..."}


class ServiceKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes authentication with a service key, which names the customer it acts for."""

    target_class = "accounts.authentication.ServiceKeyAuthentication"
    name = "serviceKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the security scheme object (OpenAPI 3.1, 4.8.27)."""
        text = (
            "A service key of the vendor's own servers: cmcp_svc_live_... or cmcp_svc_test_.... Each request names the customer, "
            "by exactly one of: the customer's key in the header `ContextMCP-Credential` or the field `credential` of a JSON "
            "object; the organization in the header `ContextMCP-Organization`, the field `organizationId`, or, in a GET, "
            "the parameter `organizationId`. "
            "Requests with an array or CloudEvents must name the customer in a header."
        )
        return {"type": "http", "scheme": "bearer", "description": text}


class SignedInScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the session of a signed-in user, who may have no organization."""

    target_class = "accounts.authentication.SignedInAuthentication"
    name = "signedIn"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the security scheme object (OpenAPI 3.1, 4.8.27)."""
        return _session("The session of a signed-in user.")


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the session of a member."""

    target_class = "accounts.authentication.MemberSessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the security scheme object (OpenAPI 3.1, 4.8.27)."""
        return _session("The session of a signed-in member of an organization.")


def _session(description: str) -> dict[str, str]:
    return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME, "description": description}
