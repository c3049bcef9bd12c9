"""Ordering of table rows."""

from django.db.models import BooleanField, Expression, ExpressionWrapper, Q


def last_if(**conditions: object) -> Expression:
    """Return an ordering that puts the rows that meet one of the conditions last."""
    condition = Q(**conditions, _connector=Q.OR)
    return ExpressionWrapper(condition, output_field=BooleanField())
