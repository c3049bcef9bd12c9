"""Started beside the servers by `services.running`; light, because it sits there as long as they do."""

import sys
from pathlib import Path

from contextmcp.local import services

if __name__ == "__main__":
    services.guard(Path(sys.argv[1]))
