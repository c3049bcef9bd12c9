"""Allow requests with a service key to name a customer by an access token, in the processes that run Django's views."""

from accounts.authentication import CREDENTIALS, ServiceKeyAuthentication

from .errors import AccessTokenExpired, AccessTokenForOtherResource, AccessTokenNotFound
from .service_access import caller_of_token
from .token_format import ACCESS_PREFIX

CREDENTIALS[ACCESS_PREFIX] = caller_of_token
ServiceKeyAuthentication.refusals += (AccessTokenNotFound, AccessTokenExpired, AccessTokenForOtherResource)
