"""The record of refusals: why, when and for which key the requests of an organization were refused.

The servers call `recording.record` for each refused request of an authenticated caller. It counts in memory (`aggregator`); every two
seconds, and when the process ends, the thread of the invalidation watcher adds the counts to `RefusalSummary` (`store`). A request never
writes or waits. `selectors` reads the record.

Counted are requests for usage: authorize, holds, gauges, events (each refused event), reports, and calls through the MCP gateway. A
negative result of `check` is not counted, because nothing was refused, and clients that poll `check` would hide the actual refusals. A
request without valid credentials belongs to no organization and appears in the metrics only.
"""
