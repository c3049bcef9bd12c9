"""Billing emails: `schedule` creates the rows that are due, `content` renders them, `deliver` sends them.

`operator_alerts` records problems that only the operator can fix.
"""
