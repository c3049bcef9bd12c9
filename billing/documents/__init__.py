"""Pure functions over Stripe's documents: the values of our columns, the grace period, schedule phases and the refund policy."""
