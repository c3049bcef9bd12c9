from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "contextmcp.web"
    label = "web"
