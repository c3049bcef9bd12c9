"""Charge the calls of a local stdio MCP server to a plan: `contextmcp-stdio [options] -- COMMAND...`.

The wrapper runs on the customer's machine with the customer's own API key. Such a key may use quotas and read, so a call is checked before
it runs and counted after it succeeded.
"""
