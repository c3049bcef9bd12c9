"""Convert a request's bytes to a command. Pure functions.

`requests` validates bodies, `build` and `gauges` make commands from the caller's entitlements, `fingerprints` identifies repeated requests,
`rate_limit` has the scripts that acquire and release rate limits in Valkey. `usage.operations` puts them in order.
"""
