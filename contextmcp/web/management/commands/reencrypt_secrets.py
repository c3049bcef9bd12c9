"""manage.py reencrypt_secrets: encrypt stored secrets under the first secret of API_KEY_SECRETS."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from accounts.models import ApiKey
from accounts.second_factors import reencrypt_second_factors
from usage.webhooks.secrets import reencrypt_all


class Command(BaseCommand):
    help = "Encrypt second factors and webhook secrets under the newest server secret, and count the API keys that still need an older one."

    def handle(self, *args: Any, **options: Any) -> None:
        newest = next(iter(settings.API_KEY_SECRETS))
        self.stdout.write(f"Second factors re-encrypted: {reencrypt_second_factors()}")
        self.stdout.write(f"Webhook secrets re-encrypted: {reencrypt_all()}")
        older = ApiKey.objects.filter(revoked_at=None).exclude(hmac_version=newest).count()
        self.stdout.write(f"API keys that still use an older version than {newest}: {older}")
