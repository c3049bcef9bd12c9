"""Official MCP clients as processes: each does the same and prints what it saw as a line of JSON.

Started with the gateway's URL and a key (or nothing, to be refused), and for some the revision. A client lists the tools, calls one that
reports progress, then one that the plan refuses, prints its findings, waits for a line on its standard input, and calls once more.
"""
