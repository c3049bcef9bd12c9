"""The order of the tour. Each chapter is a file beside this one."""

import secrets

from . import money, people, plans
from .report import Report
from .stripe_side import StripeSide
from .world import Journey, World


def walk(world: World, report: Report) -> Journey:
    """Walk every chapter; the report knows what held. A chapter that later ones stand on ends the walk when it fails."""
    journey = Journey(
        world,
        StripeSide(world.stripe_url, world.stripe_secret_key),
        email=f"ada-{secrets.token_hex(3)}@example.com",
        password=secrets.token_urlsafe(15),
    )
    for title, chapter in [
        ("Signing up", people.sign_up),
        ("Free", plans.free),
        ("Buying Pro", money.buy),
        ("Months go by", money.months),
        ("Changing one's mind", money.change),
        ("Keys and people", people.keys_and_team),
    ]:
        print(f"\n{title}", flush=True)
        if not chapter(journey, report):
            break
    return journey


def main(world: World, once: bool = False) -> tuple[bool, dict[str, str]]:
    """Walk the tour and print it. Answers whether every step held, and what `demo.json` should say of the people in it."""
    report = Report()
    journey = walk(world, report)
    print(f"\n{report.summary()}", flush=True)
    journey.close()
    return report.ok, {
        "apiKey": journey.api.key,
        "freeApiKey": journey.free_key,
        "ownerEmail": journey.email,
        "ownerPassword": journey.password,
        "organizationId": str(journey.organization.get("id", "")),
    }
