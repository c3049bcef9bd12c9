"""Overage, which is usage beyond the quota at a unit price.

`overage_settings` enables it, `reporting` reports the units to Stripe's meters, `meter_totals` compares totals with Stripe.
"""
