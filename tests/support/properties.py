"""Hypothesis with this suite's profile. Tests import its names from here: `settings(...)` copies the loaded profile when it is called.

tests/conftest.py cannot load the profile: importing Hypothesis takes longer than most tests that do without it.
"""

from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

__all__ = ["HealthCheck", "Phase", "assume", "given", "seed", "settings", "st"]

# A busy machine makes an example slow, not wrong.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
