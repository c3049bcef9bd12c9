"""Split a JSON array or object into the texts of its elements, so that one invalid element does not affect the others."""

import re

# This pattern matches structural characters, and complete strings, so that characters inside strings are not read as structure.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)
_CLOSING = {ord("["): ord("]"), ord("{"): ord("}")}


def split(body: bytes) -> list[bytes] | None:
    """Return the elements of an array, or the `"name": value` members of an object; None if its brackets do not match.

    Elements are not checked: each may still be invalid JSON.
    """
    body = body.strip()
    if body[:1] not in (b"[", b"{"):
        return None
    open_brackets: list[int] = []
    elements: list[bytes] = []
    start = 1
    for token in _TOKEN.finditer(body):
        first = body[token.start()]
        if first in _CLOSING:
            open_brackets.append(_CLOSING[first])
        elif first in _CLOSING.values():
            if not open_brackets or open_brackets.pop() != first:
                return None
            if not open_brackets:
                elements.append(body[start : token.start()])
                return _without_empty(elements) if token.end() == len(body) else None
        elif first == ord(",") and len(open_brackets) == 1:
            elements.append(body[start : token.start()])
            start = token.end()
    return None


def member(body: bytes, name: str) -> bytes | None:
    """Return the text of an object's member, or None if it has no such member or its brackets do not match."""
    head = re.compile(rb'\s*"%s"\s*:' % re.escape(name.encode()))
    for element in split(body) or ():
        if match := head.match(element):
            return element[match.end() :]
    return None


def _without_empty(elements: list[bytes]) -> list[bytes]:
    return [] if len(elements) == 1 and not elements[0].strip() else elements
