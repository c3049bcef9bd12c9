"""The plan catalog of this deployment, read once from the file that the setting CATALOG_FILE names."""

from django.conf import settings

from .catalog_file import read_catalog
from .catalog_schema import Catalog, Feature, FeatureValue, Overage, Plan, Price, Question

__all__ = ["CATALOG", "Catalog", "Feature", "FeatureValue", "Overage", "Plan", "Price", "Question", "current"]

CATALOG = read_catalog(settings.CATALOG_FILE)


def current(plan: str) -> Plan:
    """Return a plan as the catalog declares it, published or not. Raises `UnknownPlan`."""
    return CATALOG.plan(plan)
