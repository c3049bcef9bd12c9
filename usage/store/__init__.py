"""Read, lock and write usage in PostgreSQL.

`sql` contains the statements, `codec` their parameters and the decoding of their rows, `transaction` the order of queries that decides and
writes a batch. `executor` runs them on Django's connection, the gate's `group_commit` on its own. `partitions` and `rebuild` maintain the
partitions of events and the summaries.
"""
