"""Actions of staff on one organization: a form, a preview of the effect, a confirmation, and one audit event.

`registry.available_actions` returns the links for the page of an organization, `views` has the flow that all actions share, and `run_once`
executes a confirmed form once. An action is a subclass of `base.OrganizationAction`, registered in `registry.ACTIONS`. It parses the form
and describes the change. A service of the app that owns the data makes the change and records it.
"""
