"""Times with 24 hours and minutes. Django's default format, such as "3 a.m.", omits zero minutes."""

DATETIME_FORMAT = "M j, Y, H:i"
