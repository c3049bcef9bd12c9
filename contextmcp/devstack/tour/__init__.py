"""The tour: walk through the life cycle of a customer over HTTP, step by step, and print the results."""

from .steps import main

__all__ = ["main"]
