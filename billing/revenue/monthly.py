"""Convert yearly amounts to monthly ones for display. Pure functions of integers in minor units."""

from collections.abc import Sequence


def monthly(annual: int) -> int:
    """Return a twelfth, rounded half up."""
    return (annual + 6) // 12


def monthly_parts(annuals: Sequence[int], total: int | None = None) -> list[int]:
    """Return a twelfth of each part, rounded so that the parts add up to `total` (by default a twelfth of their sum).

    This is the largest remainder method: the parts are rounded down, and those with the largest remainders get one unit more.
    """
    parts = [annual // 12 for annual in annuals]
    missing = (monthly(sum(annuals)) if total is None else total) - sum(parts)
    order = sorted(range(len(annuals)), key=lambda place: (-(annuals[place] % 12), -abs(annuals[place]), place))
    if missing < 0:
        order = [place for place in reversed(order) if annuals[place]]
    for place in order[: abs(missing)]:
        parts[place] += 1 if missing > 0 else -1
    return parts
