"""How fast the hot paths are, beside what their users could pick instead: `make bench`, or `python -m tests.bench --help`.

Only ratios within one run count, so every measure runs its baselines and the product in turn, round after round, on the same servers.
"""
