"""The catalog at Stripe: `publish` creates products, prices and meters, `prices` maps prices to plan versions.

`named_prices` validates the price ids that the environment configures.
"""
