"""The tour: the whole lifecycle of a customer, walked over HTTP as its users would, step by step, with what came back."""

from .story import main

__all__ = ["main"]
