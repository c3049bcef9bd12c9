"""Periodic tasks: purge invalidations, limits, sessions and OAuth tokens, re-encrypt second factors, expire addresses, remind of keys."""

from datetime import timedelta

from django.core.cache import caches
from django.core.management import call_command
from procrastinate.contrib.django import app

from contextmcp.common.clock import now

from .models import InvalidationEntry
from .oauth import maintenance
from .second_factors import reencrypt_second_factors
from .services import addresses, impersonation, key_expiry

# The retention must exceed the time after which a process discards its caches (`invalidation.MAX_POLL_GAP_SECONDS`).
RETENTION = timedelta(hours=1)


@app.periodic(cron="*/10 * * * *")
@app.task(name="accounts.purge_invalidations", queueing_lock="accounts.purge_invalidations", pass_context=False)
def purge_invalidations(timestamp: int) -> None:
    """Delete invalidations that all processes have read."""
    InvalidationEntry.objects.filter(created_at__lt=now() - RETENTION).delete()


@app.periodic(cron="*/10 * * * *")
@app.task(name="accounts.purge_sign_in_limits", queueing_lock="accounts.purge_sign_in_limits", pass_context=False)
def purge_sign_in_limits(timestamp: int) -> None:
    """Delete expired counters of sign-in limits."""
    caches["default"].cull()  # type: ignore[attr-defined]


@app.periodic(cron="*/5 * * * *")
@app.task(name="accounts.end_impersonations", queueing_lock="accounts.end_impersonations", pass_context=False)
def end_impersonations(timestamp: int) -> None:
    """End impersonations that expired without a further request."""
    impersonation.end_expired()


@app.periodic(cron="17 3 * * *")
@app.task(name="accounts.reencrypt_second_factors", queueing_lock="accounts.reencrypt_second_factors", pass_context=False)
def reencrypt_secrets(timestamp: int) -> None:
    """Re-encrypt second factors under the newest server secret, so that older ones can be removed from API_KEY_SECRETS."""
    reencrypt_second_factors()


@app.periodic(cron="29 3 * * *")
@app.task(name="accounts.release_unconfirmed_addresses", queueing_lock="accounts.release_unconfirmed_addresses", pass_context=False)
def release_unconfirmed_addresses(timestamp: int) -> None:
    """Release addresses that were not confirmed in time."""
    addresses.expire_claims()
    addresses.expire_sign_ups()


@app.periodic(cron="7 * * * *")
@app.task(name="accounts.remind_of_expiring_keys", queueing_lock="accounts.remind_of_expiring_keys", pass_context=False)
def remind_of_expiring_keys(timestamp: int) -> None:
    """Remind members of API keys that expire within a week."""
    key_expiry.remind_of_expiring_keys()


@app.periodic(cron="41 3 * * *")
@app.task(name="accounts.clear_sessions", queueing_lock="accounts.clear_sessions", pass_context=False)
def clear_sessions(timestamp: int) -> None:
    """Delete expired sessions, which Django does not delete by itself."""
    call_command("clearsessions")


@app.periodic(cron="53 3 * * *")
@app.task(name="accounts.purge_oauth", queueing_lock="accounts.purge_oauth", pass_context=False)
def purge_oauth(timestamp: int) -> None:
    """Delete expired tokens, ended grants and unused clients."""
    maintenance.purge()
