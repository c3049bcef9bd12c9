"""Benchmark the hot paths against what users could choose instead: `make bench`, or `python -m tests.bench --help`.

Only ratios within one run are meaningful, so every measure alternates its baselines and the product on the same servers.
"""
