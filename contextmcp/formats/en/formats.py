"""Twenty-four hours and minutes always: Django's own "3 a.m." leaves out what tells two events apart."""

DATETIME_FORMAT = "M j, Y, H:i"
