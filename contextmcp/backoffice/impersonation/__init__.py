"""Staff view the product as a member of an organization (ADR-023).

The session remains that of the staff member. `middleware` sets the member as the user on customer pages, and denies requests that are not
allowed there. `session` sets aside the session's data except the sign-in, and restores it afterwards. `views` contains the pages that start
and stop an impersonation.
"""
