"""Metrics of the gateway."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("mcp_requests_total", "Requests by HTTP method and outcome.", ["method", "outcome"])
SECONDS = Histogram("mcp_request_seconds", "Time to the end of the response, by HTTP method.", ["method"])
SETTLEMENTS = Counter("mcp_settlements_total", "Reservations that were settled or released.", ["outcome"])
STREAMS = Gauge("mcp_open_streams", "Event streams that are open.", multiprocess_mode="livesum")

# Looking up a metric by its labels takes longer than counting.
_requests = cache(REQUESTS.labels)
_seconds = cache(SECONDS.labels)
_settlements = cache(SETTLEMENTS.labels)
_METHODS = frozenset({"POST", "GET", "DELETE"})


def observe(method: str, outcome: str, seconds: float) -> None:
    """Count a request after its response. All methods that the gateway does not serve share one label."""
    method = method if method in _METHODS else "other"
    _requests(method, outcome).inc()
    _seconds(method).observe(seconds)


def count_settlement(outcome: str) -> None:
    """Count a reservation that was `settled` or `released`."""
    _settlements(outcome).inc()
