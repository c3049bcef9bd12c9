"""URLs of the authorization server. allauth resolves them by their names in the namespace `idp:oidc`."""

from django.urls import include, path

from . import consent, views

_endpoints = [
    path("authorize", consent.authorize, name="authorization"),
    path("token", views.token, name="token"),
    path("revoke", views.revoke, name="revoke"),
    path("register", views.register, name="client_registration"),
    path("userinfo", views.userinfo, name="userinfo"),
    path("jwks.json", views.jwks, name="jwks"),
]
_idp = [path("", include((_endpoints, "oidc")))]
urlpatterns = [
    path(".well-known/oauth-authorization-server", views.metadata, name="oauth-metadata"),
    path(".well-known/openid-configuration", views.metadata, name="openid-configuration"),
    path("oauth/", include((_idp, "idp"))),
]
