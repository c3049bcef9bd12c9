"""What can be done with usage, written once without I/O and run by every server.

An operation is a generator: it yields an effect where it needs Postgres, Valkey or the disk, and is sent the effect's result. `sync_driver`
runs operations for Django and for Python callers (`usage.tracker`), `contextmcp.gate.driver` on an event loop. `effects` defines the
effects and what they raise, `caller` for whom an operation runs; `authorization`, `rates`, `outage`, `events`, `holds`, `gauges` and
`reports` are the operations.
"""
