"""`python -m contextmcp.devstack.wording`: fail if the product uses a forbidden name or word.

These are names that ADR-015 replaced, and words and phrases that plain technical English does not need. Names are compared with
identifiers. Words are searched in strings, comments, templates and documents.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("accounts", "billing", "entitlements", "usage", "contextmcp", "packages", "tests")
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
    "plan_ahead", "queue_moves", "refuse_as_told", "send_notices", "take_all", "chore", "courier", "crowded", "dealt",
    "dice", "dumped", "for_sale", "forget_answers", "forget_watches", "guardian", "heard", "keep_partitions", "keep_webhooks",
    "level_answer", "level_standing", "only_if_waiting", "open_ones", "over_now", "pasted", "quota_answer", "requeue_forgotten", "said",
    "standing", "still_answer", "told", "units_sold", "wanted", "_deafen", "_drop_gone", "_gather", "_knocked", "_look",
    "_look_now", "_owes", "_owing", "_parcel", "_put_back", "_sound", "_standing", "_stands", "_tell", "_tick_off", "_told",
    "_touched", "_uncounted", "_varied",
}
# fmt: on
PREFIXES = ("MOST_", "LONGEST_", "LEAST_")
# An account of the operating system, and the examples of the test of this check.
ALLOWED = {
    ("contextmcp/devstack/postgres.py", "nobody"),
    ("tests/devstack/test_services.py", "nobody"),
    ("tests/gate/test_pooler.py", "nobody"),
    ("tests/devstack/test_wording.py", "Whoever"),
    ("tests/devstack/test_wording.py", "afresh"),
    ("tests/devstack/test_wording.py", "Nobody"),
}
WORDS = re.compile(
    r"\b(whoever|whomever|anew|afresh|somebody|nobody|wishes|truth|catalogues?|owing|rumou?rs?|all the same|went on|tells of|hears? of|"
    r"heard of|none of ours|puts? right)\b",
    re.IGNORECASE,
)
# ADR-015 quotes names that it replaced.
DOCUMENTS = ("*.md", "docs/*.md", "docs/adr/ADR-0[!1]*.md", "docs/adr/ADR-01[!5]*.md", ".env.example", "Makefile")


def findings(root: Path = REPOSITORY) -> list[str]:
    """Return the file, the line and the name or word of each use below `root`."""
    uses = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if "migrations" not in name and path != Path(__file__).resolve():
                in_module = _in_module(path.read_text())
                uses += [f"{name}:{line} {text}" for line, text in in_module if (name, text) not in ALLOWED]
    documents = [path for pattern in DOCUMENTS for path in root.glob(pattern) if path.name != "CHANGELOG.md"]
    for path in sorted([*(root / "templates").rglob("*.*"), *documents]):
        name = path.relative_to(root).as_posix()
        uses += [f"{name}:{line} {text}" for line, text in _in_text(path.read_text(), 1)]
    return uses


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
    uses = findings()
    for use in uses:
        print(use, file=sys.stderr)
    return 1 if uses else 0


if __name__ == "__main__":
    sys.exit(main())
