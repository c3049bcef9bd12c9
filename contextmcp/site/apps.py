from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "contextmcp.site"
    label = "site"
