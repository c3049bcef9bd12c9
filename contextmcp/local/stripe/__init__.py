"""A stateful Stripe for the local world: real HTTP, driven by the real SDK, judged by Stripe's own document."""
