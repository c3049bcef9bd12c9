"""Parse requests and validate requests and responses, according to Stripe's OpenAPI document."""
