"""Decide commands against locked rows. Nothing here reads a clock, a database or a socket.

`rows` defines which rows a batch of commands needs, and their contents. `decide` decides the batch in order and uses `quota` and `events`.
`results` defines the results, and `write_set` collects the changes. `usage.store` reads, locks and writes the rows for both executors.
"""
