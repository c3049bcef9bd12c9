"""How second factors are stored (django-allauth)."""

from allauth.mfa.adapter import DefaultMFAAdapter

from contextmcp.common.encryption import ciphers

_PURPOSE = b"contextmcp second factors"


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """TOTP secrets and the seeds of recovery codes are encrypted, so a copy of the database gives no second factor."""

    def encrypt(self, text: str) -> str:
        return ciphers(_PURPOSE).encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return ciphers(_PURPOSE).decrypt(encrypted_text.encode()).decode()
