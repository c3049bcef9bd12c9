"""Decide which external addresses the product may call: only the public internet, never this machine, private networks or cloud metadata.
The policy applies to outgoing webhooks and to the metadata documents of OAuth clients.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings

MAX_URL_LENGTH = 2048
# Networks that are blocked although some Python versions treat them as global: IETF protocol assignments (which include a cloud metadata
# address), 6to4 relays, and the Azure "wire server".
_NOT_V4 = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
# IPv6 global unicast. Addresses outside of it are tunnels, mapped addresses or local ones.
_UNICAST = IPv6Network("2000::/3")
# Networks inside it that are blocked: Teredo, ORCHID and documentation. A 6to4 address is checked by the IPv4 address that it contains.
_NOT_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "test", "invalid", "onion", "arpa")


class AddressBlocked(Exception):
    """The address must not be called."""


def is_public(text: str) -> bool:
    """Return whether an IP address is on the public internet. Embedded IPv4 addresses (NAT64, 6to4) are checked too."""
    try:
        address = ip_address(text)
    except ValueError:  # an address with a zone, or not an address
        return False
    return _v4(address) if isinstance(address, IPv4Address) else _v6(address)


def _v4(address: IPv4Address) -> bool:
    special = address.is_multicast or address.is_reserved or address.is_loopback or address.is_link_local
    return address.is_global and not special and not any(address in network for network in _NOT_V4)


def _v6(address: IPv6Address) -> bool:
    if address in _NAT64:
        return _v4(IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None:
        return _v4(address.sixtofour)
    # IPv4-mapped addresses are outside of 2000::/3 and are therefore blocked. Resolvers return them only on request (AI_V4MAPPED).
    return address in _UNICAST and address.is_global and not any(address in network for network in _NOT_V6)


def ensure_public(addresses: list[str]) -> list[str]:
    """Return the addresses. Raise `AddressBlocked` if one of them is not public, because a host with an internal address is not trusted."""
    if not addresses or not (settings.WEBHOOKS_ALLOW_PRIVATE or all(map(is_public, addresses))):
        raise AddressBlocked
    return addresses


def is_public_hostname(host: str) -> bool:
    """Return whether a host, without resolving it, is a plausible public name or a public IP address."""
    host = host.rstrip(".").lower()
    literal = _literal(host)
    if literal is not None:
        return is_public(literal)
    labels = host.split(".")
    return len(labels) > 1 and len(host) <= 253 and all(0 < len(label) <= 63 for label in labels) and labels[-1] not in _LOCAL_NAMES


def _literal(host: str) -> str | None:
    """Return the IP address if `host` is an IP address in a notation that resolvers accept: 127.1, 0x7f000001, 2130706433, [::1]."""
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None
