"""Sixteen bytes for an idempotency key, eight for what was asked with it."""

from hashlib import blake2b


def of_key(key: str) -> bytes:
    """The digest under which a key is remembered.

    A version 7 UUID keeps its time in front: keys that come in order of time then go to one end of the index, which stays fast at any size,
    where random ones have it read all over.
    """
    text = key.encode("utf-8", "surrogatepass")
    plain = key.replace("-", "") if len(key) == 36 else key
    # Bytes are read from spaced out digits, too, and fewer of them.
    if len(plain) == 32 and plain[12] == "7" and plain.isalnum():
        try:
            return bytes.fromhex(plain[:12]) + blake2b(text, digest_size=10).digest()
        except ValueError:
            pass
    return blake2b(text, digest_size=16).digest()


def of_request(items: list[tuple[str, int]], mark: str = "") -> bytes:
    """Equal for equal requests. `mark` tells apart what means something else with the same items."""
    said = "\n".join([f"{feature} {amount}" for feature, amount in items])
    return blake2b((said + mark).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def of_event(feature: str, amount: int, occurred_at: int | None, reason: str) -> bytes:
    """An event that says no more than a feature and an amount is the same thing as an `authorize` of them."""
    said = f"{feature} {amount}" if occurred_at is None and not reason else f"{feature} {amount}\n{occurred_at}\n{reason}"
    return blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).digest()
