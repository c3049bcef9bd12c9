"""`python -m contextmcp.devstack.wording`: fail if the product uses a name or a word that was given up (docs/glossary.md).

Names are those of identifiers; words are searched in strings, comments and templates.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("accounts", "billing", "entitlements", "usage", "contextmcp", "packages/stripe-simulator/src", "packages/contextmcp-sdk/src")
# Names that ADR-015 replaced.
# fmt: off
IDENTIFIERS = {
    "Allowance", "Answers", "Ask", "Asked", "Batches", "Blobs", "CloudBody", "Commits", "Counted", "Desk", "Door", "Fingerprints",
    "GiveBack", "Granted", "HeldGrant", "HeldOverride", "HoldAnswer", "HoldFor", "Holder", "ItemAnswer", "Kept", "KeptQuerySet",
    "Letter", "LevelRow", "Moments", "Needs", "OnOutage", "Parcel", "Peeks", "Permanent", "Pipe", "Presented", "Settlement",
    "Standing", "StillUnderWay", "Taken", "Tally", "Truth", "Unreadable", "UsageLevel", "UsageWatch", "Verdict", "Who", "CLAIM",
    "COUNTED", "DRAFT", "EARLIEST", "GIVEN_BY_HAND", "LATEST", "NEWS", "NOBODY", "OLDEST", "POLITE_SECONDS", "RACES",
    "REPEATABLE", "SAME_WISH_WITHIN", "SOON", "TOLD", "TRIES", "WAITS", "adopt_key", "afresh", "anew", "apply_later",
    "asks_stripe", "bcrypt_agrees", "breach", "hear", "hurry", "keep_plan", "in_front", "introduce_later", "look_for_alerts",
    "named_by", "on_outage", "one_at_a_time", "put_aside", "repeat_or", "seal", "unseal", "stop_overage", "tidy", "wish",
    "Courier", "EventKey", "Revocation", "ask_again", "count_again", "give_back", "hang_on", "introduce", "may_go_on", "move_subscriber",
    "plan_ahead", "queue_moves", "refuse_as_told", "send_notices", "take_all",
}
# fmt: on
PREFIXES = ("MOST_", "LONGEST_", "LEAST_")
# An account of the operating system.
ALLOWED = {("contextmcp/devstack/postgres.py", "nobody")}
WORDS = re.compile(r"\b(whoever|anew|afresh|somebody|nobody|wishes|truth|catalogues?|owing)\b", re.IGNORECASE)


def findings(root: Path = REPOSITORY) -> list[str]:
    """Return the place and the name or word of each use, in the product's modules and templates below `root`."""
    found = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if "migrations" not in name and path != Path(__file__).resolve():
                uses = _in_module(path.read_text())
                found += [f"{name}:{line} {text}" for line, text in uses if (name, text) not in ALLOWED]
    for path in sorted((root / "templates").rglob("*.*")):
        name = path.relative_to(root).as_posix()
        found += [f"{name}:{line} {text}" for line, text in _in_text(path.read_text(), 1)]
    return found


def _in_module(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and (token.string in IDENTIFIERS or token.string.startswith(PREFIXES)):
            yield token.start[0], token.string
        elif token.type in (tokenize.STRING, tokenize.COMMENT):
            yield from _in_text(token.string, token.start[0])


def _in_text(text: str, first_line: int) -> Iterator[tuple[int, str]]:
    for match in WORDS.finditer(text):
        yield first_line + text.count("\n", 0, match.start()), match[0]


def main() -> int:
    """Print the findings. Return 1 if there are any."""
    found = findings()
    for each in found:
        print(each, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
