"""URLs of an organization's page. Its own path replaces the page that `admin:accounts_organization_change` would show."""

from django.urls import path

from . import views

urlpatterns = [
    path("accounts/organization/<uuid:organization_id>/change/", views.organization_page, name="organization"),
    path("organizations/<uuid:organization_id>/compare/", views.compare, name="organization-compare"),
    path("organizations/<uuid:organization_id>/actions/", views.actions, name="organization-actions"),
    path("organizations/<uuid:organization_id>/sections/<slug:name>/", views.section, name="organization-section"),
]
