"""The record of refusals: why, when and for which key the requests of an organization were refused.

The servers call `recording.record` for each refused request of an authenticated caller. It counts in memory (`aggregator`); every two
seconds, and when the process ends, the thread of the invalidation watcher adds the counts to `RefusalSummary` (`store`). A request never
writes or waits. `selectors` reads the record.

Counted are requests for usage: authorize, holds, gauges, events (each refused event), reports, and calls through the MCP gateway. An
answer of `check` that says no is not counted: the customer only asked, and clients that poll it would hide the refusals that matter. A
request without valid credentials belongs to no organization and appears in the metrics only.
"""
