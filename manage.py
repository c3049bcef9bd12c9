#!/usr/bin/env python3
"""Django's command line for ContextMCP."""

import sys

from contextmcp.startup import set_up

if __name__ == "__main__":
    set_up("worker" if sys.argv[1:3] == ["procrastinate", "worker"] else "manage.py")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
