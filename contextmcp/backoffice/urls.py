"""URLs of the back office's own views. They are below `/admin/`, before the URLs of Django's admin."""

from django.urls import URLPattern

from . import reauthentication

app_name = "backoffice"
urlpatterns: list[URLPattern] = [*reauthentication.urlpatterns]
