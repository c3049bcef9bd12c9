"""`granian --interface rsgi contextmcp.gate.rsgi:application`"""

import gc
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "contextmcp.settings.production")
django.setup()

from .app import Gate  # noqa: E402 - Django must be set up first

application = Gate()
# What is there now stays; looking through it again and again, or after every few hundred objects of a batch, finds nothing.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 50)
