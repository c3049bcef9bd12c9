"""The order of the tour's chapters."""

import json
import secrets
from pathlib import Path

from contextmcp.devstack.stack import World, write_private

from . import mcp_sign_in, mcp_tools, money, people, plans, vendor_server
from .context import Journey
from .report import Report
from .stripe_side import StripeSide


def walk(world: World, report: Report) -> Journey:
    """Run every chapter. If a chapter fails that later ones depend on, the tour ends."""
    journey = Journey(
        world,
        StripeSide(world.stripe_url or "", world.stripe_secret_key),
        email=f"ada-{secrets.token_hex(3)}@example.com",
        password=secrets.token_urlsafe(15),
    )
    for title, chapter in [
        ("Signing up", people.sign_up),
        ("The MCP server", mcp_tools.use_tools),
        (journey.offer.free["title"], plans.free),
        ("The service key", vendor_server.report_usage),
        (f"Buying {journey.offer.plan['title']}", money.buy),
        ("Months go by", money.months),
        ("Changing one's mind", money.change),
        ("Keys and people", people.keys_and_team),
        ("Signing in without a key", mcp_sign_in.sign_in),
    ]:
        print(f"\n{title}", flush=True)
        if not chapter(journey, report):
            break
    return journey


def main(world: World, once: bool = False) -> bool:
    """Run the tour, print it, write `demo.json` into the stack's home, and return whether every step passed."""
    report = Report()
    journey = walk(world, report)
    print(f"\n{report.summary()}", flush=True)
    journey.close()
    write_private(Path(world.home) / "demo.json", json.dumps(_document(world, journey), indent=2) + "\n")
    return report.ok


def _document(world: World, journey: Journey) -> dict[str, str]:
    return {
        "url": world.url,
        "gateUrl": world.gate_url,
        "mcpUrl": world.mcp_url,
        "oauthIssuer": world.url,
        "adminUrl": world.admin_url,
        "mailUrl": world.mail_url,
        "stripeUrl": world.stripe_url or "",
        "apiKey": journey.api.key,
        "webhookSecret": world.webhook_secret,
        "stripeSecretKey": world.stripe_secret_key,
        "ownerEmail": journey.email,
        "ownerPassword": journey.password,
        "adminEmail": world.admin_email,
        "adminPassword": world.admin_password,
        "organizationId": str(journey.organization.get("id", "")),
        "freeApiKey": journey.free_key,
        "serviceKey": journey.service_key,
    }
