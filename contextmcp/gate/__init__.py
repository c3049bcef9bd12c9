"""The usage gate: a server on its own port for the endpoints that an MCP server calls before every tool call.

It runs the same operations as Django's views (`usage.operations`). Only the transport differs: it has one event loop, one connection to
Postgres, each transaction of which serves all requests that arrived in the meantime (`group_commit`), and one connection to Valkey.
"""
