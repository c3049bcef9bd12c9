"""The page of one organization: its plan and the reason for it, limits, billing, people, usage and activity.

`views` has the pages, `sections` lists the panels of each section, and each module of `panels` reads one panel. The page itself contains
the header, the problems and the overview; the other sections are loaded by htmx afterwards, or opened as pages without JavaScript. A panel
is left out if the user lacks its permissions. No page calls Stripe, except "Compare with Stripe now".
"""
