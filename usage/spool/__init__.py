"""Calls that were allowed while PostgreSQL was unreachable, stored on this machine's disk until they are counted.

`spool` appends records and starts replays, `records` encodes a record, `files` locks and writes files, `replay` counts each record once.
"""
