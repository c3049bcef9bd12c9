"""Recording of usage events.

`event_parsing` parses and `event_validation` validates them, `plan_history` finds the plan at their time, and `result` renders the results.
"""
