"""Convert a request's bytes to a command. Pure functions.

`requests` validates bodies, `build` and `gauges` make commands from the caller's entitlements, `fingerprints` identifies repeated requests,
and `rate_limit` contains the scripts that acquire and release rate limits in Valkey. `usage.operations` calls these modules.
"""
