"""The search box on every admin page. A query can be any identifier that a customer or Stripe gives.

`query` reads the text. If it contains a key or a token, only the public part is kept. `people`, `keys`, `billing` and `records` each find
rows of one kind, by an index. `views` opens the row if there is exactly one, and lists the rows otherwise.
"""
