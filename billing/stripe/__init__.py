"""The only code that uses the Stripe and dj-stripe libraries: `gateway` calls Stripe, `mirror` stores its documents."""
