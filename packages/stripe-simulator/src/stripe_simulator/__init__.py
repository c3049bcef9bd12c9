"""A stateful simulator of Stripe, which serves the API over HTTP and validates everything against Stripe's OpenAPI document."""
