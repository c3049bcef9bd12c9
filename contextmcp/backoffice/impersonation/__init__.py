"""Staff view the product as a member of an organization (ADR-023).

The session stays the staff member's. `middleware` shows the member to the customers' pages and refuses what staff may not do. `session`
moves everything aside that the session contains besides the sign-in, and restores it. `views` start and stop.
"""
