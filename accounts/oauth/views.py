"""The endpoints that OAuth clients call: metadata, tokens, revocation, registration, user information and keys.

Browsers may call them from any site, because none of them reads a cookie (Fetch, "CORS protocol").
"""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.core.internal.ratelimit import RateLimitUsage
from allauth.idp.oidc.internal.oauthlib.utils import convert_response, extract_params
from allauth.idp.oidc.internal.resources import InvalidTargetError
from allauth.idp.oidc.models import Client
from allauth.idp.oidc.views import ClientRegistrationView
from allauth.idp.oidc.views import jwks as allauth_jwks
from django.conf import settings
from django.db import DataError, transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from oauthlib.oauth2 import InvalidRequestError, OAuth2Error

from contextmcp.common import problems
from contextmcp.common.errors import MethodNotAllowed

from . import clients, resources, scopes
from .adapter import GRANT_TYPES
from .server import Server
from .validator import Validator

View = Callable[..., HttpResponse]
AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]
METADATA_MAX_AGE_SECONDS = 300
MAX_REGISTRATION_BYTES = 16 * 1024
# Maximum length of a parameter. Codes, tokens and addresses are shorter, and longer texts would be slow to check.
MAX_PARAMETER_LENGTH = 4096


def endpoint(*methods: str) -> Callable[[View], View]:
    """Decorate an endpoint for clients: no CSRF token, any origin, and OAuth's errors as JSON (RFC 6749, 5.2)."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not settings.OAUTH_ENABLED:
                raise Http404
            if request.method == "OPTIONS":
                response = HttpResponse(status=204)
            elif request.method in methods:
                try:
                    if request.method == "POST" and request.META.get("QUERY_STRING"):
                        raise InvalidRequestError(description="Send the parameters in the body.")
                    check_parameters(request.GET, request.POST)
                    response = view(request, *args, **kwargs)
                except OAuth2Error as error:
                    response = JsonResponse(dict(error.twotuples), status=error.status_code, headers=error.headers)
            else:
                response = problems.response(MethodNotAllowed(*methods))
            response.setdefault("Cache-Control", "no-store")
            response["Access-Control-Allow-Origin"] = "*"
            response["Access-Control-Allow-Methods"] = ", ".join(methods)
            response["Access-Control-Allow-Headers"] = "Authorization, Content-Type, MCP-Protocol-Version"
            response["Access-Control-Expose-Headers"] = "WWW-Authenticate"
            return response

        return answer

    return decorate


def check_parameters(*sources: QueryDict) -> None:
    """Raise `InvalidRequestError` for repeated parameters (RFC 6749, 3.1 and 3.2), NUL characters, and parameters that are too long."""
    for source in sources:
        for name, values in source.lists():
            if len(values) > 1 and name != "resource":
                raise InvalidRequestError(description=f"Duplicate {name} parameter.")
            if any("\0" in value or len(value) > MAX_PARAMETER_LENGTH for value in (name, *values)):
                raise InvalidRequestError(description="A parameter is too long or has a character that is not allowed.")


@endpoint("GET")
def metadata(request: HttpRequest) -> HttpResponse:
    """Return the metadata of RFC 8414 and of OpenID Connect Discovery."""
    document = {
        "issuer": settings.PUBLIC_URL,
        "authorization_endpoint": _address("authorization"),
        "token_endpoint": _address("token"),
        "revocation_endpoint": _address("revoke"),
        "userinfo_endpoint": _address("userinfo"),
        "jwks_uri": _address("jwks"),
        "scopes_supported": list(scopes.DESCRIPTIONS),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "token_endpoint_auth_methods_supported": AUTH_METHODS,
        "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
        "code_challenge_methods_supported": ["S256"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": True,
        "protected_resources": [resources.server_address()],
        "service_documentation": f"{settings.PUBLIC_URL}{reverse('docs')}",
    }
    if settings.IDP_OIDC_DCR_ENABLED:
        document["registration_endpoint"] = _address("client_registration")
    return JsonResponse(document, headers={"Cache-Control": f"public, max-age={METADATA_MAX_AGE_SECONDS}"})


@endpoint("POST")
def token(request: HttpRequest) -> HttpResponse:
    """Exchange a code or a refresh token (RFC 6749, 3.2)."""
    given = request.POST.getlist("resource")
    addresses = resources.find_server_addresses(given) if given else []
    if addresses is None:
        raise InvalidTargetError
    # A code or token that is used twice ends its grant. The response is an error, but the change must not be rolled back.
    with transaction.atomic():
        try:
            answer = Server(Validator(addresses)).create_token_response(*_request(request))
        except OAuth2Error as error:
            return JsonResponse(dict(error.twotuples), status=error.status_code, headers=error.headers)
    return _response(*answer)


@endpoint("POST")
def revoke(request: HttpRequest) -> HttpResponse:
    """Revoke a token (RFC 7009)."""
    return _response(*Server(Validator([])).create_revocation_response(*_request(request)))


@endpoint("GET", "POST")
def userinfo(request: HttpRequest) -> HttpResponse:
    """Return the user's claims (OpenID Connect Core, 5.3)."""
    return _response(*Server(Validator([])).create_userinfo_response(*_request(request)))


@endpoint("GET")
def jwks(request: HttpRequest) -> HttpResponse:
    """Return the public keys that verify ID tokens. The keys of other signed documents are at `/.well-known/jwks.json`."""
    response: HttpResponse = allauth_jwks(request)
    return response


class RegistrationView(ClientRegistrationView):  # type: ignore[misc]
    """Registers a client (RFC 7591).

    The rate limit counts every request before the secret is hashed, because hashing takes most of a second and registration needs no
    credential.
    """

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        _, refusal = super()._ratelimit()
        response: HttpResponse = refusal or super().post(request, *args, **kwargs)
        return response

    def _ratelimit(self) -> tuple[RateLimitUsage, None]:
        """Return a rate limit usage whose rollback has no effect, because `post` has already applied the limit."""
        return RateLimitUsage([]), None

    def _serialize_client(self, client: Client, form: Any, secret: str) -> dict[str, Any]:
        clients.store_secret(client, secret)
        document: dict[str, Any] = super()._serialize_client(client, form, secret)
        return document

    def _get_client_metadata(self) -> dict[str, Any] | None:
        if len(self.request.body) > MAX_REGISTRATION_BYTES:
            return None
        try:
            data = json.loads(self.request.body)
            # Encoding fails for unpaired surrogates, which Postgres cannot store.
            json.dumps(data, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            return None
        return data if isinstance(data, dict) else None


_register = RegistrationView.as_view()


@endpoint("POST")
def register(request: HttpRequest) -> HttpResponse:
    if not settings.IDP_OIDC_DCR_ENABLED:
        raise Http404
    try:
        response: HttpResponse = _register(request)
    except (DataError, ValueError):
        document = {"error": "invalid_client_metadata", "error_description": "A value has a character that is not allowed."}
        return JsonResponse(document, status=400)
    return response


def _address(name: str) -> str:
    return f"{settings.PUBLIC_URL}{reverse(f'idp:oidc:{name}')}"


def _request(request: HttpRequest) -> tuple[str, str, str, dict[str, str]]:
    """Return the request for oauthlib, without its query string, because oauthlib fails on a malformed one."""
    _, method, body, headers = extract_params(request)
    return request.path, method, body, headers


def _response(headers: dict[str, str], body: Any, status: int) -> HttpResponse:
    response: HttpResponse = convert_response(headers, body, status)
    return response
