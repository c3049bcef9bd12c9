"""Settings of a process that has that catalogue. Never imported by the tests themselves: it changes what everybody takes from there."""

from contextmcp.settings.test import *  # noqa: F403
from entitlements import catalog
from tests.support.loose import loosened

catalog.CATALOG = loosened(catalog.CATALOG)
