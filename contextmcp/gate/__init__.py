"""The gate's own server: the paths an MCP server calls before every tool call, beside Django's stack and on a port of their own.

It decides with the very code that Django's views use (`usage.decide`, `usage.asking`, `usage.rates`); what differs is how bytes come and
go: one event loop, one connection to Postgres whose every transaction serves all requests that came in the meantime, one to Valkey.
"""
