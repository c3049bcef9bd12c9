"""The deployment's plans and features, read from its public API, so that the tour hard-codes none."""

from dataclasses import dataclass
from typing import Any

from .browser import Api
from .report import expect


@dataclass(frozen=True)
class Offer:
    """The plans and features that the tour uses.

    `quota` is a quota of the first plan, `limit` its amount, `rate` a rate limit of that plan, and `unavailable` a feature that it lacks.
    The last two are empty if there is none. `plan` is bought, then changed to `higher_plan`; None if no other plan has the same interval.
    """

    free: dict[str, Any]
    quota: str
    unit: str
    limit: int
    rate: str
    unavailable: str
    plan: dict[str, Any]
    price: dict[str, Any]
    higher_plan: dict[str, Any] | None

    @property
    def interval(self) -> str:
        return str(self.price["interval"])

    def money(self, minor: int) -> str:
        return f"{minor / 100:.2f} {self.price['currency'].upper()}"


def read_offer(api: Api) -> Offer:
    """Request the plans. Raises an error if the first plan has no limited quota or no plan has a price."""
    plans: list[dict[str, Any]] = api.get("/api/plans")["data"]
    free, paid = plans[0], [plan for plan in plans if plan["prices"]]
    quotas = [each for each in free["features"] if each["kind"] == "quota" and each["included"] and each["limit"] is not None]
    rates = [each["feature"] for each in free["features"] if each["kind"] == "rate_limit" and each["included"]]
    lacking = [each["feature"] for each in free["features"] if not each["included"]]
    flags = [each["feature"] for each in free["features"] if not each["included"] and each["kind"] == "boolean"]
    expect(quotas, f"the plan {free['title']} has no quota with a limit to use up")
    expect(paid, "no plan has a price")
    plan, price = paid[0], paid[0]["prices"][0]
    higher = [each for each in paid[1:] if any(one["interval"] == price["interval"] for one in each["prices"])]
    return Offer(
        free=free,
        quota=quotas[0]["feature"],
        unit=quotas[0]["title"].lower(),
        limit=quotas[0]["limit"],
        rate=next(iter(rates), ""),
        unavailable=next(iter([*flags, *lacking]), ""),
        plan=plan,
        price=price,
        higher_plan=next(iter(higher), None),
    )
