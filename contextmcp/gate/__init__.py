"""The authorize server: the paths that an MCP server calls before every tool call, on a port of their own beside Django.

It decides with the code that Django's views use (`usage.authorize`). What differs is the transport: one event loop, one connection to
Postgres whose every transaction serves all requests that arrived in the meantime (`group_commit`), and one connection to Valkey.
"""
