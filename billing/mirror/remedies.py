"""What dj-stripe 2.11 does that must not happen here. `tests/billing/test_remedies.py` pins the version these were written against."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from djstripe import event_handlers
from djstripe.models import Event, Price
from djstripe.models.base import StripeModel
from djstripe.signals import WEBHOOK_SIGNALS

TESTED_WITH = "2.11."


def apply() -> None:
    """Called once, when all apps are ready."""
    _keep_no_keys()
    _keep_no_copies()
    _deafen()
    _close_admin()


def _keep_no_keys() -> None:
    # It would look up whose key this is, copy the plaintext key into djstripe_apikey, and go on using it after a rotation.
    StripeModel._find_owner_account = classmethod(_nobody)


def _nobody(cls: type[StripeModel], data: Any, api_key: Any = None, livemode: Any = None) -> None:
    return None


def _keep_no_copies() -> None:
    # It would keep the product as it was inside each price's document, where no later event of the product's reaches it.
    Price.expand_fields = [name for name in Price.expand_fields if name != "product"]


def _deafen() -> None:
    # Its handlers write without a lock, `checkout.session.*` posts to Stripe, and `customer.deleted` calls DELETE there.
    for signal in WEBHOOK_SIGNALS.values():
        for name in dir(event_handlers):
            handler = getattr(event_handlers, name)
            if callable(handler) and name.startswith("handle_"):
                signal.disconnect(handler, sender=Event)


def _close_admin() -> None:
    # A staff user without any permission could cancel a subscription at Stripe through a custom action of its admin.
    for model in list(admin.site._registry):
        if model._meta.app_label == "djstripe":
            admin.site.unregister(model)


def api_key() -> str:
    """The key its own fetches use: always the present one."""
    return str(settings.STRIPE_SECRET_KEY)
