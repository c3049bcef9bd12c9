"""The MCP gateway: a reverse proxy for Streamable HTTP that charges tool calls to the customer's plan.

It authenticates each request, reserves what a call may cost, forwards it to an upstream MCP server, and settles the reservation when the
call succeeds or releases it when the call fails. The decisions are those of `usage.authorize`, made in this process.

Source: the Model Context Protocol, revisions 2025-06-18, 2025-11-25 and 2026-07-28, "Streamable HTTP".
"""
