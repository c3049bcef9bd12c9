"""Example paths of URL patterns."""

from uuid import UUID

from django.urls import URLPattern

from accounts.models import Organization

NO_ID = UUID(int=0)


def example_path(pattern: URLPattern, organization: Organization | None = None, **values: object) -> str:
    """Return a path of the pattern (without the prefix of its include). Parameters without a value get an unknown ID or token."""
    route = str(pattern.pattern)
    known = {"organization_id": organization.pk} if organization else {}
    for name, converter in pattern.pattern.converters.items():
        kind = type(converter).__name__.removesuffix("Converter").lower()
        value = (known | values).get(name, NO_ID if kind == "uuid" else "1" if kind == "int" else "unknown")
        route = route.replace(f"<{kind}:{name}>", str(value)).replace(f"<str:{name}>", str(value))
    return f"/{route}"
