"""The record of refusals: why, when and for which key the requests of an organization were refused.

The servers call `recording.record` for each refused request of an authenticated caller. It counts in memory (`aggregator`). Every two
seconds, and when the process ends, the thread of the invalidation watcher adds the counts to `RefusalSummary` (`store`). Requests do not
write to the database or wait for it. `selectors` reads the record.

The record counts refused requests about usage: authorize, holds, gauges, events (each refused event), reports, and calls through the MCP
gateway. A negative result of `check` is not counted, because nothing was refused, and results of clients that poll `check` would outnumber
the refusals. A request without valid credentials belongs to no organization and is counted only in the metrics.
"""
