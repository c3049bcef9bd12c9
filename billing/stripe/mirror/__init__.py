"""The mirror of Stripe's objects in dj-stripe's tables. Only fetched objects are written, under their customer's lock."""
