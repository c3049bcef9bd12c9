"""How the OpenAPI document names the two ways to say who is asking."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key: cmcp_sk_live_... or cmcp_sk_test_..."}


class ServiceKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.authentication.ServiceKeyAuthentication"
    name = "serviceKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        text = (
            "A service key of the vendor's own servers: cmcp_svc_live_... or cmcp_svc_test_.... Each request names the customer, "
            "by exactly one of: the customer's key in the header `ContextMCP-Credential` or the field `credential` of a JSON "
            "object; the organization in the header `ContextMCP-Organization`, the field `organizationId`, or, in a GET, "
            "the parameter `organizationId`. "
            "Arrays and CloudEvents name it by header."
        )
        return {"type": "http", "scheme": "bearer", "description": text}


class SignedInScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.authentication.SignedInAuthentication"
    name = "signedIn"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "The session of anybody who is signed in."}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.authentication.MemberSessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "The session of a signed-in member."}
