"""Decide commands against locked rows. Nothing here reads a clock, a database or a socket.

`rows` names the rows that a batch of commands needs and holds their contents, `decide` decides the batch in order with the help of `quota`
and `events`, `results` holds the results, `write_set` collects the changes. `usage.store` reads, locks and writes, for both executors.
"""
