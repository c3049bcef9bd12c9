"""Read, lock and write usage in PostgreSQL.

`sql` contains the statements, `codec` encodes their parameters and decodes their rows, and `transaction` defines the order of queries that
decides and writes a batch. `executor` runs them on Django's connection, the gate's `group_commit` on its own connections. `partitions`
maintains the partitions of events, and `rebuild` rebuilds the summaries.
"""
