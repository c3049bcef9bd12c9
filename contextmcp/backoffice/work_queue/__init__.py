"""The work queue: problems that staff must handle. Items can be assigned, snoozed and closed with a note.

`sources` finds the problems, each with one indexed query; `collect` stores them as `accounts.models.WorkItem`, once a minute; `services`
changes them for staff; `summary` is for the home page.
"""

from .selectors import summary

__all__ = ["summary"]
