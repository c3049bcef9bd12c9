"""The operations on usage, written once without I/O and run by every server.

An operation is a generator: it yields an effect when it needs Postgres, Valkey or the disk, and receives the effect's result. `sync_driver`
runs operations for Django and for Python callers (`usage.tracker`), `contextmcp.gate.driver` runs them on an event loop. `effects` defines
the effects and their errors, `caller` the caller that an operation runs for; `authorization`, `rates`, `outage`, `events`, `holds`,
`gauges` and `reports` are the operations.
"""
