"""The dj-stripe seam: Stripe's objects in Postgres, written only under their customer's lock, and only what we fetched ourselves."""
