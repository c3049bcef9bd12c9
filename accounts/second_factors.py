"""Encrypted storage of second factors (django-allauth)."""

import logging
from typing import TYPE_CHECKING

from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import InvalidToken
from django.db import transaction
from django.utils.translation import gettext

from contextmcp.common.encryption import ciphers, reencrypt

if TYPE_CHECKING:
    from allauth.mfa.models import Authenticator

    from .models import User

log = logging.getLogger(__name__)
_PURPOSE = b"contextmcp second factors"
# Encrypted fields of an authenticator's data: the TOTP secret and the seed of recovery codes. Passkeys store no secret.
_SECRETS = ("secret", "seed")


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Encrypts TOTP secrets and seeds of recovery codes, so that a copy of the database does not reveal them."""

    def generate_authenticator_name(self, user: "User", type: str) -> str:
        """Return the name that the form for a new passkey suggests."""
        number = self._count(user, type) + 1
        return gettext("Passkey") if number == 1 else gettext("Passkey %(number)d") % {"number": number}

    @staticmethod
    def _count(user: "User", type: str) -> int:
        from allauth.mfa.models import Authenticator  # noqa: PLC0415 - this module is loaded before the apps are ready

        return int(Authenticator.objects.filter(user_id=user.pk, type=type).count())

    def encrypt(self, text: str) -> str:
        return ciphers(_PURPOSE).encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return ciphers(_PURPOSE).decrypt(encrypted_text.encode()).decode()


def reencrypt_second_factors() -> int:
    """Re-encrypt second factors that use an older server secret. Return the number of changed rows.

    A row whose server secret was removed is logged and left unchanged; its user needs a new second factor.
    """
    from allauth.mfa.models import Authenticator  # noqa: PLC0415 - this module is loaded before the apps are ready

    count = 0
    for pk in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).values_list("pk", flat=True).iterator():
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=pk).first()
            if row is not None and _reencrypt(row):
                row.save(update_fields=["data"])
                count += 1
    return count


def _reencrypt(authenticator: "Authenticator") -> bool:
    changed = False
    for name in _SECRETS:
        stored = authenticator.data.get(name)
        if not stored:
            continue
        try:
            reencrypted = reencrypt(_PURPOSE, stored.encode())
        except InvalidToken:
            log.error("The second factor %s is encrypted under a server secret that is not in API_KEY_SECRETS", authenticator.pk)
            continue
        if reencrypted is not None:
            authenticator.data[name] = reencrypted.decode()
            changed = True
    return changed
