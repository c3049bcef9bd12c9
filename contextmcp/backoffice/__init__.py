"""The back office: the admin pages of staff that join several apps.

Each app registers the admin pages of its own models. This package adds the home page, the navigation, the staff roles, the second factor
that staff need, and the pages for background jobs and outgoing email. Pages outside Django's `ModelAdmin` are views in `urls`, each with
`staff_page`.
"""
