"""Metrics of the gateway."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("mcp_requests_total", "Requests by HTTP method and outcome.", ["method", "outcome"])
SECONDS = Histogram("mcp_request_seconds", "Time to the end of the answer, by HTTP method.", ["method"])
SETTLEMENTS = Counter("mcp_settlements_total", "Reservations that were settled or released.", ["outcome"])
STREAMS = Gauge("mcp_open_streams", "Event streams that are open.", multiprocess_mode="livesum")
