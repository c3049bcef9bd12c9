"""Ports, secrets and environment of a stack."""

from __future__ import annotations

import socket
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from contextmcp.devstack import databases, ports, stack
from contextmcp.devstack.ports import Claims
from contextmcp.gateway.pricing import Default, read_pricing


@pytest.fixture
def claims() -> Iterator[Claims]:
    with ports.claims() as held:
        yield held


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use other ports than a stack that runs on this machine."""
    for name, port in {"WEB_PORT": 26000, "STRIPE_PORT": 26100, "MAIL_PORT": 26200, "SMTP_PORT": 26300, "GATEWAY_PORT": 26500}.items():
        monkeypatch.setattr(stack, name, port)
    return tmp_path


def test_the_next_free_port_is_used_in_all_urls(folder: Path, claims: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        used = busy.getsockname()[1]
        monkeypatch.setattr(stack, "WEB_PORT", used)
        built = stack.build(folder, claims, {})
    assert built.port > used
    assert built.url == built.environment["PUBLIC_URL"] == f"http://localhost:{built.port}"
    assert built.environment["PORT"] == str(built.port)
    assert built.webhook_url == f"{built.url}/api/billing/webhooks/stripe"


def test_two_concurrent_stacks_use_different_ports(folder: Path, claims: Claims) -> None:
    with ports.claims() as others:
        one, other = stack.build(folder, claims, {}), stack.build(folder, others, {})
    assert {one.port, one.mail_port, one.smtp_port, one.stripe_port}.isdisjoint(
        {other.port, other.mail_port, other.smtp_port, other.stripe_port}
    )


def test_a_claim_ends_with_its_block() -> None:
    with ports.claims() as first:
        port = first.first_free(26400)
        with ports.claims() as second, pytest.raises(ports.NoPort):
            second.exactly(port)
    with ports.claims() as third:
        assert third.exactly(port) == port


def test_requested_port_in_use_is_refused_in_a_sentence(folder: Path, claims: Claims) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy, pytest.raises(ports.NoPort, match="is in use"):
        stack.build(folder, claims, {"PORT": str(busy.getsockname()[1])})


def test_secrets_are_generated_once_and_private(folder: Path, claims: Claims) -> None:
    one, other = stack.build(folder, claims, {}), stack.build(folder, claims, {})
    for name in ("SECRET_KEY", "API_KEY_SECRETS", "SIGNING_KEY", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"):
        assert one.environment[name] == other.environment[name]
    assert one.admin_password == other.admin_password
    assert one.save() == other.save()
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {"secrets.json": 0o600, "world.json": 0o600}
    assert stack.World.load(other.save()) == other


def test_the_environment_has_precedence_and_empty_is_unset(folder: Path, claims: Claims) -> None:
    params = {"SECRET_KEY": "mine", "API_KEY_SECRETS": "", "STRIPE_PRO_MONTHLY_PRICE_ID": "price_1", "PUBLIC_URL": "http://dev.example/"}
    built = stack.build(folder, claims, params)
    assert built.environment["SECRET_KEY"] == "mine"
    assert built.environment["API_KEY_SECRETS"].startswith("1:")
    assert built.environment["STRIPE_PRO_MONTHLY_PRICE_ID"] == "price_1"
    assert built.url == "http://dev.example"


def test_with_a_stripe_key_there_is_no_simulator(folder: Path, claims: Claims) -> None:
    built = stack.build(folder, claims, {"STRIPE_SECRET_KEY": "sk_test_theirs", "STRIPE_WEBHOOK_SECRET": "whsec_theirs"})
    assert (built.stripe_port, built.stripe_url) == (None, None)
    assert (built.stripe_secret_key, built.webhook_secret) == ("sk_test_theirs", "whsec_theirs")
    assert "STRIPE_API_BASE" not in built.environment


def test_stripe_can_be_off(folder: Path, claims: Claims) -> None:
    for params in ({}, {"STRIPE_SECRET_KEY": "sk_test_theirs"}):
        built = stack.build(folder, claims, {"STRIPE": "off", **params})
        assert built.stripe_port is None
        assert built.environment["STRIPE_SECRET_KEY"] == ""


def test_the_example_server_has_prices_in_every_catalog(folder: Path, claims: Claims) -> None:
    built = stack.build(folder, claims, {})
    assert built.environment["MCP_PRICING_FILE"].endswith("examples/mcp_server/pricing.toml")
    assert built.environment["MCP_UPSTREAM_URL"] == f"http://127.0.0.1:{built.notes_port}/mcp"
    assert built.mcp_url == f"http://localhost:{built.gateway_port}/mcp"
    other = stack.build(folder, claims, {"CATALOG_FILE": "examples/catalogs/translation_office.toml"})
    prices = tomllib.loads(Path(other.environment["MCP_PRICING_FILE"]).read_text())["servers"]["notes"]
    assert (prices["default"], prices["tools"]["list_notes"]) == ({"feature": "documents"}, "free")


def test_a_server_of_the_users_is_free_unless_its_prices_are_given(folder: Path, claims: Claims) -> None:
    named = {"MCP_UPSTREAM": "http://127.0.0.1:1/mcp"}
    built = stack.build(folder, claims, named)
    assert (built.notes_port, built.environment["MCP_UPSTREAM_URL"]) == (None, named["MCP_UPSTREAM"])
    servers = read_pricing(Path(built.environment["MCP_PRICING_FILE"]), {}, upstream_url=named["MCP_UPSTREAM"])
    assert servers["upstream"].url == named["MCP_UPSTREAM"]
    assert servers["upstream"].price_of("tools/call", "anything") is Default.FREE
    priced = stack.build(folder, claims, {**named, "MCP_PRICING": "examples/mcp_server/pricing.toml"})
    assert priced.environment["MCP_PRICING_FILE"] == str(Path("examples/mcp_server/pricing.toml").resolve())
    # The settings of a deployment are taken as they are.
    own = stack.build(folder, claims, {"MCP_PRICING_FILE": "/etc/pricing.toml"})
    assert (own.notes_port, own.environment["MCP_PRICING_FILE"]) == (None, "/etc/pricing.toml")
    assert "MCP_UPSTREAM_URL" not in own.environment


def test_another_database_on_the_same_server() -> None:
    assert databases.named("postgresql://u@/one?host=/tmp/x", "two") == "postgresql://u@/two?host=/tmp/x"
    assert databases.named("postgres://u:p@db.example:5/one", "two") == "postgres://u:p@db.example:5/two"
