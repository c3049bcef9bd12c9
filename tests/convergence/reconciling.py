"""The reconciliation at the end of a run, as it runs every night."""

from __future__ import annotations

import json

from django.utils.module_loading import import_string

from billing.gateway import events
from billing.models import BillingAccount
from billing.services.sync import sync_customer
from billing.webhooks import inbox


def reconcile() -> None:
    try:
        run = import_string("billing.services.reconcile.run")
    except ImportError:
        _by_hand()
    else:
        run()


def _by_hand() -> None:
    for event in reversed(list(events.since(0))):
        text = json.dumps(event)
        inbox.store(inbox.parse(text.encode()), text, source="reconciliation")
    for customer in BillingAccount.objects.exclude(stripe_customer_id=None).values_list("stripe_customer_id", flat=True):
        sync_customer(str(customer))
