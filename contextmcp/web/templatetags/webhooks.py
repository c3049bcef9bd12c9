from django import template
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

register = template.Library()
_ERRORS: dict[str, Promise] = {
    "timeout": _("No response within 10 seconds"),
    "unknown_host": _("The host name does not exist"),
    "no_connection": _("No connection"),
    "tls_failed": _("The certificate is not valid"),
    "bad_answer": _("The response is not valid HTTP"),
    "address_refused": _("The address is not on the public internet"),
    "endpoint_disabled": _("Not sent, because the endpoint was disabled"),
    "secret_unreadable": _("Not sent, because the signing secret could not be read"),
}


@register.filter
def webhook_error(code: str) -> Promise | str:
    """Return the reason why there was no response."""
    return _ERRORS.get(code, code)
