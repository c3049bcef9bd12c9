"""The patches of dj-stripe. These tests pin the version that they were written for."""

import importlib.metadata
import time

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.urls import NoReverseMatch, reverse
from djstripe import models
from djstripe.models.base import StripeModel
from djstripe.signals import WEBHOOK_SIGNALS

from billing.stripe import djstripe_patches
from billing.stripe.gateway import customers
from billing.stripe.mirror import store


def test_the_patches_match_the_installed_version():
    assert importlib.metadata.version("dj-stripe").startswith(djstripe_patches.TESTED_WITH)


@pytest.mark.django_db
def test_our_migration_replaces_three_and_allows_later_ones():
    loader = MigrationLoader(connection)
    ours = [key for key in loader.graph.nodes if key[0] == "djstripe"]
    assert ours == [("djstripe", "0001_squashed_0003_2_11")]
    assert {name for app, name in loader.disk_migrations if app == "djstripe"} >= {"0001_initial", "0002_2_10", "0003_2_11"}


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", "djstripe", "billing", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db
def test_migrating_dj_stripe_takes_seconds():
    """The upstream migrations take a minute and a half, nearly all of it in Python."""
    loader = MigrationLoader(connection)
    migration = loader.get_migration("djstripe", "0001_squashed_0003_2_11")
    state = loader.project_state(("djstripe", "0001_squashed_0003_2_11"), at_end=False)
    started = time.process_time()
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        migration.apply(state, editor, collect_sql=True)
    # CPU time of this process, because others may use the machine.
    assert time.process_time() - started < 15
    assert sum("CREATE TABLE" in line for line in editor.collected_sql) > 50


@pytest.mark.django_db
def test_no_secret_key_is_stored(stripe_world):
    customer = stripe_world.sdk.customers.create({"email": "a@b.example"})
    store.write(customers.retrieve(customer.id))
    assert models.Customer.objects.get().djstripe_owner_account is None
    assert not models.APIKey.objects.exists()
    assert StripeModel._find_owner_account({"object": "customer"}, api_key="sk_test_x") is None


def test_its_webhook_handlers_are_disconnected():
    assert [name for name, signal in WEBHOOK_SIGNALS.items() if signal.receivers] == []


def test_its_webhook_view_has_no_url():
    with pytest.raises(NoReverseMatch):
        reverse("djstripe:djstripe_webhook_by_uuid", args=["0"])


def test_every_admin_of_a_mirrored_model_is_read_only(rf, django_user_model):
    shown = [model for model in admin.site._registry if model._meta.app_label == "djstripe"]
    assert models.Subscription in shown
    request = rf.get("/")
    request.user = django_user_model(is_superuser=True, is_active=True, is_staff=True)
    for model in shown:
        page = admin.site._registry[model]
        assert not page.has_add_permission(request)
        assert not page.has_change_permission(request)
        assert not page.has_delete_permission(request)
        assert page.get_actions(request) == {}
