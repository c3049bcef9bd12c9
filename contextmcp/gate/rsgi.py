"""`granian --interface rsgi contextmcp.gate.rsgi:application`"""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "contextmcp.settings.production")
django.setup()

from .app import Gate  # noqa: E402 - Django must be set up first

application = Gate()
