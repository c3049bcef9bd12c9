#!/usr/bin/env python3
"""Django's command line for ContextMCP."""

import sys

from contextmcp.startup import load_settings

if __name__ == "__main__":
    load_settings("worker" if sys.argv[1:3] == ["procrastinate", "worker"] else "manage.py")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
