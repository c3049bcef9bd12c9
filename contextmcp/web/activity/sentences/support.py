"""Sentences about access by the vendor's staff."""

from contextmcp.web.activity.types import Kind

from .registry import Context, sentence


@sentence("impersonation.started", kind=Kind.SUPPORT)
def _started(context: Context) -> str:
    if context.after("allows_changes"):
        return context.say(f"began to act as {context.event.target}", f"support began to act as {context.event.target}")
    began = f"began to view the account as {context.event.target}"
    return context.say(began, f"support {began}")


@sentence("impersonation.ended", kind=Kind.SUPPORT)
def _ended(context: Context) -> str:
    because = f" ({context.after('because')})" if context.after("because") and context.for_staff else ""
    ended = f"ended the access as {context.event.target}{because}"
    return context.say(ended, f"support {ended}")


@sentence("staff.viewed", kind=Kind.INTERNAL, shown=False)
def _viewed(context: Context) -> str:
    return context.say(f"viewed {context.event.target}", f"{context.event.target} was viewed")


@sentence("staff.refused", kind=Kind.INTERNAL, shown=False)
def _refused(context: Context) -> str:
    return context.say(f"was refused {context.event.target}", f"{context.event.target} was refused")
