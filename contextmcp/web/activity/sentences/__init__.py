"""The sentences of the audit log, one module for each part of the product.

Each action that the code records is registered with `sentence`. Customers see only the actions that are registered as `shown`.
"""

from . import billing, entitlements, identity, keys, staff_billing, support, usage
from .registry import Context, Sentence, describe, find, sentence, shown_actions

__all__ = [
    "Context",
    "Sentence",
    "billing",
    "describe",
    "entitlements",
    "find",
    "identity",
    "keys",
    "sentence",
    "shown_actions",
    "staff_billing",
    "support",
    "usage",
]
