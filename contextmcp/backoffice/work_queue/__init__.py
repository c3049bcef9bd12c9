"""The work queue: problems that need a person, with an owner, a time until which they are hidden, and what was done about them.

`sources` finds the problems, each with one indexed query; `collect` stores them as `accounts.models.WorkItem`, once a minute; `services`
changes them for staff; `summary` is for the home page.
"""

from .selectors import summary

__all__ = ["summary"]
