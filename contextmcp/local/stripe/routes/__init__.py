"""From a request on the wire to a checked answer, by Stripe's OpenAPI document."""
