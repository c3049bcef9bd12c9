"""Digests of idempotency keys (16 bytes) and fingerprints of requests and events (8 bytes)."""

from hashlib import blake2b


def key_digest(key: str) -> bytes:
    """Return the digest under which an idempotency key is stored.

    The digest of a version 7 UUID starts with the UUID's timestamp. Such digests are inserted at one end of the index, which is fast at any
    size of the index, whereas random digests are inserted all over it.
    """
    text = key.encode("utf-8", "surrogatepass")
    digits = key.replace("-", "") if len(key) == 36 else key
    # `isalnum` excludes white space, which `bytes.fromhex` would skip, so that the result would be too short.
    if len(digits) == 32 and digits[12] == "7" and digits.isalnum():
        try:
            return bytes.fromhex(digits[:12]) + blake2b(text, digest_size=10).digest()
        except ValueError:
            pass
    return blake2b(text, digest_size=16).digest()


def request_fingerprint(items: list[tuple[str, int]], mark: str = "") -> bytes:
    """Return a fingerprint that is equal for equal requests. `mark` distinguishes different operations with the same items."""
    text = "\n".join([f"{feature} {amount}" for feature, amount in items])
    return blake2b((text + mark).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def event_fingerprint(feature: str, amount: int, occurred_at: int | None, reason: str, *, credit: bool = False) -> bytes:
    """Return an event's fingerprint. An event with only a feature and an amount has the fingerprint of an equal `authorize` request."""
    text = f"{feature} {amount}" if occurred_at is None and not reason else f"{feature} {amount}\n{occurred_at}\n{reason}"
    if credit:
        text = f"credit {text}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
