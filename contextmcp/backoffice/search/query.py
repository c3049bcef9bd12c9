"""Parse a search query and remove the secrets from it."""

import re
from dataclasses import dataclass, field
from uuid import UUID

from accounts.key_format import QuotedKey, quoted_key
from contextmcp.common.ids import as_uuid
from contextmcp.common.logs import mask

MAX_LENGTH = 200
MIN_NAME_LENGTH = 2
# A run of letters and digits that is longer than a request ID (32) and not part of a Stripe ID: probably the rest of a secret.
_SECRET = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z0-9]{33,}")
_STRIPE_ID = re.compile(r"[a-z]{2,10}(?:_(?:test|live))?_[A-Za-z0-9]{1,200}")
_CARD = re.compile(r"(?:(?P<brand>[A-Za-z][A-Za-z ]*?)[\s:]*)?[*•xX.\s-]*(?P<last4>\d{4})")
_INVOICE_NUMBER = re.compile(r"[A-Za-z0-9]{2,32}-[0-9-]{0,16}")
_WORD = re.compile(r"\w+")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{6,64}")


@dataclass(frozen=True)
class Query:
    """A search. `text` is safe to show. `key` is set if the input contains a key or a token; then `text` is only its public part."""

    text: str
    key: QuotedKey | None = None
    words: list[str] = field(default_factory=list)
    uuid: UUID | None = None

    @property
    def email(self) -> str:
        """Return the text as the beginning of an email address, or an empty string if it cannot be one."""
        return self.text.lower() if len(self.text) >= MIN_NAME_LENGTH and " " not in self.text and not self.key else ""

    @property
    def name(self) -> str:
        return self.text.lower() if len(self.text) >= MIN_NAME_LENGTH and not self.key else ""

    @property
    def stripe_id(self) -> str:
        """Return the ID of a Stripe object such as `in_1PqX...`, or an empty string."""
        return self.text if not self.key and _STRIPE_ID.fullmatch(self.text) else ""

    @property
    def invoice_number(self) -> str:
        """Return the beginning of an invoice number, such as 4F2A8C1B-0001 (a prefix and a counter), or an empty string."""
        return self.text.upper() if not self.key and _INVOICE_NUMBER.fullmatch(self.text) else ""

    @property
    def request_id(self) -> str:
        return self.text if not self.key and _REQUEST_ID.fullmatch(self.text) else ""

    @property
    def card(self) -> tuple[str, str] | None:
        """Return the brand in lower case (it may be empty) and the last four digits of a card, such as "Visa 4242"."""
        match = None if self.key else _CARD.fullmatch(self.text)
        return ((match["brand"] or "").strip().lower(), match["last4"]) if match else None


def parse(raw: str) -> Query:
    """Return the query for the input. Keys and tokens are recognized first, so that no secret is kept."""
    text = " ".join(raw.replace("\0", " ").split())
    key = quoted_key(text)
    if key is not None:
        return Query(key.hint, key)
    text = _SECRET.sub("", mask(text)).strip()[:MAX_LENGTH]
    return Query(text, words=_WORD.findall(text.lower())[:8], uuid=as_uuid(text))


def without_secrets(text: str) -> str:
    """Return the text of a search without secrets: a key is replaced by its public ID, and a token by its prefix."""
    key = quoted_key(text)
    return key.public_id if key is not None else mask(text)
