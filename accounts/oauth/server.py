"""oauthlib's server, limited to OAuth 2.1: the authorization code flow with PKCE, and rotating refresh tokens."""

import re
from typing import Any

from django.conf import settings
from oauthlib.common import Request
from oauthlib.oauth2 import AuthorizationEndpoint, InvalidRequestError, RevocationEndpoint, TokenEndpoint
from oauthlib.oauth2.rfc6749.endpoints.resource import ResourceEndpoint
from oauthlib.oauth2.rfc6749.grant_types import AuthorizationCodeGrant, RefreshTokenGrant
from oauthlib.oauth2.rfc6749.grant_types.authorization_code import code_challenge_method_s256
from oauthlib.oauth2.rfc6749.tokens import BearerToken
from oauthlib.openid.connect.core.endpoints.userinfo import UserInfoEndpoint
from oauthlib.openid.connect.core.grant_types import AuthorizationCodeGrant as OpenIDAuthorizationCodeGrant
from oauthlib.openid.connect.core.grant_types.dispatchers import AuthorizationCodeGrantDispatcher, AuthorizationTokenGrantDispatcher

from . import token_format
from .validator import Validator

# The Base64 of a SHA-256 digest (RFC 7636, 4.2).
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
MAX_NONCE_LENGTH = 255
MAX_REDIRECT_LENGTH = 2000


class Server(AuthorizationEndpoint, TokenEndpoint, RevocationEndpoint, ResourceEndpoint, UserInfoEndpoint):  # type: ignore[misc]
    """The endpoints, for one request."""

    def __init__(self, validator: Validator) -> None:
        grant, openid = AuthorizationCodeGrant(validator), OpenIDAuthorizationCodeGrant(validator)
        for each in (grant, openid.proxy_target):
            each._code_challenge_methods = {"S256": code_challenge_method_s256}
            each.custom_validators.pre_auth.append(check_parameters)
            each.register_code_modifier(_replace_code)
        bearer = BearerToken(
            validator,
            lambda request: token_format.generate(token_format.ACCESS_PREFIX),
            settings.IDP_OIDC_ACCESS_TOKEN_EXPIRES_IN,
            lambda request: token_format.generate(token_format.REFRESH_PREFIX),
        )
        AuthorizationEndpoint.__init__(self, "code", bearer, {"code": AuthorizationCodeGrantDispatcher(grant, openid)})
        exchanges = {
            "authorization_code": AuthorizationTokenGrantDispatcher(validator, grant, openid),
            "refresh_token": RefreshTokenGrant(validator),
        }
        TokenEndpoint.__init__(self, "authorization_code", bearer, exchanges)
        ResourceEndpoint.__init__(self, "Bearer", {"Bearer": bearer})
        RevocationEndpoint.__init__(self, validator)
        UserInfoEndpoint.__init__(self, validator)


def check_parameters(request: Request) -> dict[str, Any]:
    """Check the parameters of an authorization request that oauthlib does not validate. Raises `InvalidRequestError`."""
    if request.code_challenge is not None and not _CHALLENGE.fullmatch(request.code_challenge):
        raise InvalidRequestError(description="The code challenge is malformed.", request=request)
    if request.response_mode not in (None, "query"):
        raise InvalidRequestError(description="Only the response mode query is supported.", request=request)
    if len(request.nonce or "") > MAX_NONCE_LENGTH:
        raise InvalidRequestError(description="The nonce is too long.", request=request)
    return {}


def _replace_code(code: dict[str, Any], token_handler: Any, request: Request) -> dict[str, Any]:
    return {**code, "code": token_format.generate(token_format.CODE_PREFIX)}
