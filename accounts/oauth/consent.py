"""The page on which a signed-in user connects an app to one of their organizations (RFC 6749, 3.1)."""

import time
from typing import Any
from urllib.parse import urlencode

from allauth.core.internal.httpkit import add_query_params, del_query_params
from allauth.idp.oidc.internal.oauthlib.utils import extract_params
from allauth.idp.oidc.internal.resources import InvalidTargetError
from allauth.idp.oidc.models import Client
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from oauthlib.common import Request
from oauthlib.oauth2 import FatalClientError, OAuth2Error

from accounts.authentication import current_membership, memberships_of
from accounts.models import Membership, User

from . import clients, grants, resources, scopes, views
from .errors import InvalidAuthorizationRequest
from .server import Server
from .validator import Validator

# Session key of the authorization request that a user made before they signed in or had an organization: a list of its URL and its time.
SESSION_PENDING = "pending_authorization"
PENDING_SECONDS = 3600
ALLOW = "allow"


class AuthorizationRequest:
    """A valid authorization request, with its parameters and its client."""

    def __init__(self, request: HttpRequest, scopes_: list[str], parameters: Request, addresses: list[str]) -> None:
        self.http, self.scopes, self.resources = request, scopes_, addresses
        self.client: Client = parameters.client
        self.redirect_uri: str = parameters.redirect_uri
        self.state: str = parameters.state or ""
        self.code_challenge: str = parameters.code_challenge
        self.nonce: str = parameters.nonce or ""

    def grant(self, membership: Membership) -> HttpResponse:
        """Connect the client and redirect to it with a code."""
        consent = grants.Consent(
            membership=membership,
            client_id=self.client.pk,
            client_name=clients.display_name(self.client),
            scopes=scopes.allowed(self.scopes, membership.role),
            resources=self.resources,
            redirect_uri=self.redirect_uri,
            code_challenge=self.code_challenge,
            nonce=self.nonce,
        )
        uri, _, _, headers = extract_params(self.http)
        server = Server(Validator(self.resources, consent))
        answer, _, _ = server.create_authorization_response(
            uri, "GET", None, headers, scopes=self.scopes, credentials={"user": membership.user}
        )
        return _redirect(answer["Location"])

    def deny(self) -> HttpResponse:
        """Redirect to the client with the error `access_denied`."""
        parameters = {"error": "access_denied", "error_description": "The user did not connect the app."}
        return _redirect(add_query_params(self.redirect_uri, parameters | ({"state": self.state} if self.state else {})))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def authorize(request: HttpRequest) -> HttpResponseBase:
    """Show the page. When the user has decided, redirect to the app with the result."""
    if not settings.OAUTH_ENABLED:
        raise Http404
    # Checked before the user signs in, because clients learn from this error that their registration was deleted.
    if not clients.may_exist(request.GET.get("client_id", "")):
        return _error_page(request, _("The app is not registered here."))
    detour = _sign_in(request, request.GET.get("prompt", "").split())
    try:
        return _decide(request, _validate(request)) if detour is None else detour
    except FatalClientError as error:
        return _error_page(request, error.description or error.error)
    except OAuth2Error as error:
        return _answer_error(request, error)
    except ValueError:
        return _error_page(request, _("The query of the address is malformed."))


def _decide(request: HttpRequest, authorization: AuthorizationRequest) -> HttpResponseBase:
    assert isinstance(request.user, User)
    memberships = memberships_of(request, request.user)
    if not memberships:
        _remember(request)
        return redirect("new-organization")
    request.session.pop(SESSION_PENDING, None)
    if request.method != "POST":
        return _page(request, authorization, memberships)
    if request.POST.get("action") != ALLOW:
        return authorization.deny()
    chosen = request.POST.get("organization", "")
    membership = next((each for each in memberships if str(each.organization_id) == chosen), None)
    if membership is None:
        return _page(request, authorization, memberships, error=_("Choose an organization."))
    return authorization.grant(membership)


def _answer_error(request: HttpRequest, error: OAuth2Error) -> HttpResponse:
    """Redirect to the app with an error, or show an error page if the request has no valid redirect address."""
    if not error.redirect_uri:
        return _error_page(request, error.description or error.error)
    return _redirect(add_query_params(error.redirect_uri, dict(error.twotuples)))


def pending_authorization(request: HttpRequest) -> str | None:
    """Return, once and within an hour, the URL of the authorization request that the user made before signing up."""
    pending = request.session.pop(SESSION_PENDING, None)
    if not isinstance(pending, list) or len(pending) != 2 or time.time() - pending[1] > PENDING_SECONDS:
        return None
    return str(pending[0])


def _remember(request: HttpRequest) -> None:
    request.session[SESSION_PENDING] = [request.get_full_path(), time.time()]


def _sign_in(request: HttpRequest, prompts: list[str]) -> HttpResponseBase | None:
    """Return a redirect to the sign-in or reauthentication page if the user must visit one first, or None.

    `prompts` are the values of the parameter `prompt` (OpenID Connect Core, 3.1.2.1).
    """
    if request.user.is_authenticated and "login" not in prompts:
        return None
    if "none" in prompts:
        # `_validate` raises LoginRequired, which is sent to the client.
        return None
    # The page to which the user returns must not require authentication again.
    others = [each for each in prompts if each != "login"]
    path = request.get_full_path()
    path = add_query_params(path, {"prompt": " ".join(others)}) if others else del_query_params(path, "prompt")
    if request.user.is_authenticated:
        return redirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': path})}")
    _remember(request)
    return redirect(f"{reverse('account_login')}?{urlencode({'next': path})}")


def _validate(request: HttpRequest) -> AuthorizationRequest:
    """Return the client's request. Raises oauthlib's errors, and `ValueError` for a malformed query."""
    views.check_parameters(request.GET)
    if request.user.is_authenticated:
        clients.read_client(request.GET.get("client_id", ""))
    addresses = resources.find_server_addresses(request.GET.getlist("resource"))
    uri, _, _, headers = extract_params(request)
    requested, information = Server(Validator(addresses or [])).validate_authorization_request(uri, "GET", None, headers)
    parameters = information["request"]
    if addresses is None:
        raise InvalidTargetError(request=parameters)
    if not request.user.is_authenticated:
        # oauthlib does not handle prompt=none without the scope openid.
        raise _LoginRequired(request=parameters)
    return AuthorizationRequest(request, list(requested), parameters, addresses)


class _LoginRequired(OAuth2Error):  # type: ignore[misc]
    error = "login_required"


def _page(request: HttpRequest, authorization: AuthorizationRequest, memberships: list[Membership], error: str = "") -> HttpResponse:
    current = current_membership(request)
    limited = [each for each in memberships if scopes.allowed(authorization.scopes, each.role) != authorization.scopes]
    origin = clients.redirect_origin(authorization.redirect_uri)
    context: dict[str, Any] = {
        "client_name": clients.display_name(authorization.client),
        "publisher": clients.publisher(authorization.client.pk),
        "destination": origin.removesuffix(":"),
        "is_local": origin.startswith("http://"),
        "permissions": [gettext(scopes.DESCRIPTIONS[scope]) for scope in authorization.scopes],
        "servers": authorization.resources,
        "memberships": memberships,
        "current": current,
        "limited": limited,
        "error": gettext(error) if error else "",
    }
    response = render(request, "oauth/consent.html", context, status=400 if error else 200)
    # Browsers apply form-action also to the redirect after the form is submitted.
    response._csp_update = {"form-action": [origin]}  # type: ignore[attr-defined]
    return response


def _error_page(request: HttpRequest, reason: str) -> HttpResponse:
    error = InvalidAuthorizationRequest(reason)
    return render(request, "error.html", {"error": error, "sentence": error.shown}, status=error.status)


def _redirect(location: str) -> HttpResponse:
    """Redirect to a client with this server's issuer (RFC 9207). Django's own class refuses the schemes of installed apps."""
    return HttpResponse(status=302, headers={"Location": add_query_params(location, {"iss": settings.PUBLIC_URL})})
