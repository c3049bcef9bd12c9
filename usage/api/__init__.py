"""The HTTP API of usage: authorize, events, holds, gauges, reports and webhook endpoints."""
