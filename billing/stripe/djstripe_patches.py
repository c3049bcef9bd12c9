"""Patches of dj-stripe 2.11. `tests/billing/test_djstripe_patches.py` pins the version that they were written for."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Model
from django.db.models.signals import pre_save
from djstripe import event_handlers
from djstripe.models import Event, Price
from djstripe.models.base import StripeModel
from djstripe.signals import WEBHOOK_SIGNALS

from billing.stripe.redaction import without_secrets

TESTED_WITH = "2.11."


def apply() -> None:
    """Apply all patches. Call it once, when all apps are ready."""
    _store_no_keys()
    _store_no_secrets()
    _store_no_copies()
    _disconnect_handlers()
    _close_admin()


def _store_no_keys() -> None:
    # dj-stripe would look up the key's account, store the plaintext key in djstripe_apikey, and keep using it after a rotation.
    StripeModel._find_owner_account = classmethod(_no_customer)


def _no_customer(cls: type[StripeModel], data: Any, api_key: Any = None, livemode: Any = None) -> None:
    return None


def _store_no_secrets() -> None:
    # dj-stripe stores complete objects, including those it fetches itself, such as a pending setup intent with its client secret.
    pre_save.connect(_remove_secrets, dispatch_uid="billing.stripe.mirror.remove_secrets")


def _remove_secrets(sender: type[Model], instance: Any, **kwargs: Any) -> None:
    if issubclass(sender, StripeModel):
        instance.stripe_data = without_secrets(instance.stripe_data)


def _store_no_copies() -> None:
    # dj-stripe would store a copy of the product in each price's document, and later events of the product would not update it.
    Price.expand_fields = [name for name in Price.expand_fields if name != "product"]


def _disconnect_handlers() -> None:
    # dj-stripe's handlers write without the customer's lock, `checkout.session.*` sends a POST to Stripe, and `customer.deleted` a DELETE.
    for signal in WEBHOOK_SIGNALS.values():
        for name in dir(event_handlers):
            handler = getattr(event_handlers, name)
            if callable(handler) and name.startswith("handle_"):
                signal.disconnect(handler, sender=Event)


def _close_admin() -> None:
    # A staff user without permissions could cancel a subscription at Stripe through a custom action of dj-stripe's admin.
    for model in list(admin.site._registry):
        if model._meta.app_label == "djstripe":
            admin.site.unregister(model)


def api_key() -> str:
    """Return the current Stripe key, for the requests that dj-stripe makes itself."""
    return str(settings.STRIPE_SECRET_KEY)
