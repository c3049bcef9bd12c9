"""Routes of the entitlements endpoints."""

from django.urls import path

from . import views

urlpatterns = [
    path("plans", views.PlansView.as_view(), name="plans"),
    path("entitlements/token", views.EntitlementsTokenView.as_view(), name="entitlements-token"),
    path("entitlements", views.EntitlementsView.as_view(), name="entitlements"),
]
