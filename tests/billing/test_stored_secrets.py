"""No secret in Stripe's objects is stored or shown."""

import json
import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.urls import reverse
from djstripe import models as mirrored

from billing import reconciliation
from billing.models import WebhookEvent
from billing.stripe.redaction import event_without_secrets, without_secrets
from tests.billing.test_checkout_payment import PATH, PRO, pay
from tests.factories.accounts import UserFactory
from tests.factories.billing import price_of
from tests.support.stripe import SECRET_KEY, post

pytestmark = pytest.mark.django_db
SECRET = re.compile(r"_secret_|whsec_|\b(ek|sk)_test_|\"secret\"")


def stored_secrets() -> list[str]:
    """Return every column of every table that contains one of Stripe's secrets."""
    matches = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type IN ('json', 'jsonb', 'text', 'character varying', 'ARRAY')"
        )
        for table, column in cursor.fetchall():
            cursor.execute(f'SELECT "{column}"::text FROM "{table}" WHERE "{column}"::text ~ %s', [r"_secret_|whsec_|(ek|sk)_test_"])
            matches += [f"{table}.{column}: {value[:2000]}" for (value,) in cursor.fetchall()]
    return matches


def test_a_whole_journey_stores_no_secret(stripe_world, api, owner, acme):
    world = stripe_world
    session = api.post(PATH, PRO, by=owner).json()
    assert pay(session["url"], "4000 0000 0000 0002").status_code == 402
    assert pay(session["url"]).status_code == 303
    world.deliver()
    customer = acme.billing_account.stripe_customer_id
    clock = world.attach_test_clock(customer)
    world.advance(clock, days=15)
    world.deliver()
    assert api.post("/api/billing/change-plan", {"planTier": "enterprise"}, by=owner).status_code == 200
    assert api.post("/api/billing/create-portal-session", {}, by=owner).status_code == 200
    world.card(customer, "pm_card_authenticationRequired")
    world.deliver()
    world.advance(clock, days=35)
    world.sdk.webhook_endpoints.create({"url": "https://hooks.example/stripe", "enabled_events": ["*"]})
    intents = [charge.payment_intent for charge in world.sdk.charges.list({"customer": customer}).data]
    world.sdk.refunds.create({"payment_intent": next(each for each in intents if each), "amount": 100})
    world.deliver()
    reconciliation.reconcile(acme)
    result = json.dumps(world.events())
    assert "_secret_" in result  # There was something to remove.
    assert WebhookEvent.objects.filter(type__startswith="payment_intent.").exists()
    assert WebhookEvent.objects.filter(type__startswith="setup_intent.").exists()
    assert stored_secrets() == []


def test_object_that_dj_stripe_fetches_is_stored_without_its_secret(stripe_world, payer):
    created = stripe_world.sdk.setup_intents.create({"customer": payer.customer})
    fetched = mirrored.SetupIntent(id=created.id).api_retrieve(api_key=SECRET_KEY)
    assert fetched.client_secret
    row = mirrored.SetupIntent.sync_from_stripe_data(fetched, api_key=SECRET_KEY)
    row.refresh_from_db()
    assert row.stripe_data["id"] == created.id
    assert stored_secrets() == []


@pytest.mark.parametrize(
    "thing",
    [
        {"object": "webhook_endpoint", "id": "we_1", "secret": "whsec_" + "a" * 32},
        {"object": "ephemeral_key", "id": "ephkey_1", "secret": "ek_test_" + "a" * 32},
        {"object": "checkout.session", "id": "cs_test_1", "client_secret": "cs_test_1_secret_" + "a" * 20},
        {"object": "customer_session", "client_secret": "cuss_secret_" + "a" * 20},
        {"object": "invoice", "id": "in_1", "confirmation_secret": {"client_secret": "pi_1_secret_" + "a" * 20, "type": "payment_intent"}},
        {
            "object": "payment_intent",
            "id": "pi_1",
            "next_action": {"redirect_to_url": {"url": "https://hooks.stripe.com/x?client_secret=pi_1_secret_" + "a" * 20 + "&a=b"}},
        },
    ],
)
def test_each_kind_of_secret_is_removed_from_events(thing):
    body = {"id": "evt_1", "object": "event", "type": "x.created", "created": 1, "data": {"object": thing, "previous_attributes": thing}}
    assert post(body).status_code == 503  # Without a secret the server refuses all events.
    clean = event_without_secrets(json.dumps(body))
    assert not SECRET.search(clean)
    assert json.loads(clean)["data"]["object"]["object"] == thing["object"]


def test_the_address_of_a_portal_session_is_not_stored():
    thing = {"object": "billing_portal.session", "id": "bps_1", "url": "https://billing.stripe.com/p/session/test_abc"}
    clean = event_without_secrets(json.dumps({"id": "evt_1", "data": {"object": thing}}))
    assert "session/test_abc" not in clean
    assert "bps_1" in clean


def test_values_that_resemble_secrets_are_kept():
    thing = {"name": "The secret_garden_party", "email": "my_secret_x@acme.example", "metadata": {"note": "a secret plan"}, "n": [1, None]}
    assert without_secrets(thing) == thing
    assert event_without_secrets('{"data":  {"object": {"description": "a secret plan"}}}') == (
        '{"data":  {"object": {"description": "a secret plan"}}}'
    )


def test_the_admin_shows_no_secret_even_if_one_was_stored(client, payer):
    payer.buy()
    row = mirrored.Subscription.objects.get()
    secret = "seti_1_secret_" + "a" * 20
    mirrored.Subscription.objects.update(stripe_data=row.stripe_data | {"client_secret": secret})
    client.force_login(UserFactory(is_superuser=True, is_staff=True))
    page = client.get(reverse("admin:djstripe_subscription_change", args=[row.pk]), follow=True)
    assert page.status_code == 200
    assert row.id.encode() in page.content
    assert secret.encode() not in page.content


def test_every_mirrored_model_is_redacted(stripe_world):
    """The check before saving covers every model that stores an object whole."""
    shown = {model for model in admin.site._registry if model._meta.app_label == "djstripe"}
    whole = {model for model in apps.get_app_config("djstripe").get_models() if any(f.name == "stripe_data" for f in model._meta.fields)}
    assert shown <= whole
    row = mirrored.Product(id="prod_x", livemode=False, stripe_data={"id": "prod_x", "client_secret": "pi_1_secret_" + "a" * 20})
    row.save()
    row.refresh_from_db()
    assert row.stripe_data == {"id": "prod_x"}
    assert price_of()
