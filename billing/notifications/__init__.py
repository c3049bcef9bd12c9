"""Billing emails: `schedule` creates the rows that are due, `content` renders them, `deliver` sends them."""
