"""The pricing file: what calls cost, and every fault of a file at once."""

import os
import re
import subprocess
import sys

import pytest

from contextmcp.common.errors import ValidationFailed
from contextmcp.devstack.services import REPOSITORY
from contextmcp.gateway.pricing import Default, Price, PricingError, VariableAmount, read_pricing, reserved_amount, settled_amount
from entitlements.catalog_file import read_catalog

KINDS = {"searches": "quota", "pages": "quota", "export": "boolean", "calls_per_minute": "rate_limit", "seats": "gauge"}
FILE = """
[servers.notes]
url = "http://127.0.0.1:3000/mcp"
default = { feature = "searches" }

[servers.notes.tools]
"search_*" = { feature = "searches", rate = "calls_per_minute" }
search_exact = "free"
convert = { feature = "pages", amount = { argument = "pages", maximum = 100 } }
"delete_*" = "deny"

[servers.notes.resources]
"file:///*.pdf" = { feature = "pages", amount = 2 }

[servers.other]
url = "https://other.example/mcp"
"""


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        path = tmp_path / "pricing.toml"
        path.write_text(text)
        return read_pricing(path, KINDS)

    return read_text


@pytest.mark.parametrize(
    ("method", "name", "price"),
    [
        ("tools/call", "search_all", Price("searches", rate="calls_per_minute")),
        ("tools/call", "search_exact", Default.FREE),
        ("tools/call", "delete_all", Default.DENY),
        ("tools/call", "anything", Price("searches")),
        ("resources/read", "file:///a/b.pdf", Price("pages", 2)),
        ("resources/read", "file:///a/b.txt", Default.FREE),
        ("prompts/get", "summary", Default.FREE),
        ("ping", None, Default.FREE),
    ],
)
def test_exact_names_win_over_patterns_and_patterns_over_the_default(read, method, name, price):
    assert read(FILE)["notes"].price_of(method, name) == price


def test_an_unnamed_tool_is_denied_unless_the_file_says_otherwise(read):
    assert read(FILE)["other"].price_of("tools/call", "anything") is Default.DENY


def test_one_deployment_may_have_its_server_elsewhere(tmp_path):
    path = tmp_path / "pricing.toml"
    path.write_text(FILE.partition("[servers.other]")[0])
    assert read_pricing(path, KINDS, upstream_url="https://elsewhere.example/mcp")["notes"].url == "https://elsewhere.example/mcp"
    with pytest.raises(PricingError, match="not an http or https URL"):
        read_pricing(path, KINDS, upstream_url="elsewhere")
    path.write_text(FILE)
    with pytest.raises(PricingError, match="exactly one server"):
        read_pricing(path, KINDS, upstream_url="https://elsewhere.example/mcp")


def test_every_fault_of_a_file_is_said_at_once(read):
    faulty = """
        [servers.Notes]
        url = "ftp://127.0.0.1"
        default = { feature = "serches" }
        [servers.Notes.tools]
        a = { feature = "seats" }
        b = { feature = "pages", rate = "pages" }
        c = { feature = "pages", amount = { maximum = 3 } }
    """
    with pytest.raises(PricingError) as error:
        read(faulty)
    for fault in ("servers.Notes: use", "url: 'ftp", "feature 'serches'", "'seats' is neither", "rate: 'pages'", "tools.c.amount"):
        assert fault in str(error.value)


@pytest.mark.parametrize("text", ["", "servers = 3", "[servers]", "[servers.a]", '[servers.a]\nurl = "http://x"\ncost = 1', "a = "])
def test_a_malformed_file_is_refused(read, text):
    with pytest.raises(PricingError):
        read(text)


PAGES = Price("pages", VariableAmount(argument="pages", maximum=100))


@pytest.mark.parametrize(("arguments", "amount"), [({"pages": 7}, 7), ({"pages": 7.0}, 7), ({"pages": 100}, 100)])
def test_an_amount_from_an_argument(arguments, amount):
    assert reserved_amount(PAGES, arguments) == amount


@pytest.mark.parametrize("value", [None, True, 0, -1, 101, 1.5, "7", 1e300, float("nan")])
def test_an_argument_that_is_no_amount_is_refused(value):
    with pytest.raises(ValidationFailed):
        reserved_amount(PAGES, {"pages": value})
    assert reserved_amount(Price("pages", VariableAmount(argument="pages", maximum=100, default=2)), {}) == 2


@pytest.mark.parametrize(("reported", "charged"), [(7, 7), (0, 0), (6.2, 7), (61, 60), (-1, 60), (None, 60), ("7", 60), (True, 60)])
def test_an_amount_from_the_result_never_exceeds_the_reservation(reported, charged):
    price = Price("minutes", VariableAmount(result="minutes", maximum=60))
    assert reserved_amount(price, {}) == 60
    assert settled_amount(price, 60, {"minutes": reported}) == charged


def test_the_pricing_files_of_the_documentation_and_of_the_example_are_valid(tmp_path):
    document = (REPOSITORY / "docs" / "gateway.md").read_text()
    files = [block for block in re.findall(r"```toml\n(.*?)```", document, re.DOTALL) if "url = " in block]
    assert len(files) >= 2
    kinds = {feature.name: feature.kind for feature in read_catalog(REPOSITORY / "entitlements" / "catalog.toml").features}
    for number, text in enumerate([*files, (REPOSITORY / "examples" / "mcp_server" / "pricing.toml").read_text()]):
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        assert read_pricing(path, kinds)


def test_a_faulty_file_stops_the_gateway_with_one_sentence(tmp_path):
    path = tmp_path / "pricing.toml"
    path.write_text('[servers.notes]\nurl = "http://127.0.0.1:1/mcp"\ndefault = { feature = "serches" }\n')
    command = [sys.executable, "-m", "contextmcp.gateway", "--port", "1"]
    environment = {**os.environ, "MCP_PRICING_FILE": str(path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    assert done.stderr == f"{path}: servers.notes.default.feature: the catalog has no feature 'serches'.\n"
