"""Overage, which is usage beyond the quota at a unit price.

`reporting` reports the units to Stripe's meters, `meter_totals` compares totals with Stripe. `billing.overage_settings` enables it.
"""
