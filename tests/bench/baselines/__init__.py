"""The baselines: what users could choose instead, and the limits of the machine."""
