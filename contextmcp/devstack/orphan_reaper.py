"""Stop the servers when their last user has ended. `services.running` starts this small process with them."""

import sys
from pathlib import Path

from contextmcp.devstack import services

if __name__ == "__main__":
    services.guard(Path(sys.argv[1]))
