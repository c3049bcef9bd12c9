"""Which addresses may be called. Only the public internet: never this machine, its networks, or a cloud's metadata."""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings

MOST_LENGTH = 2048
# What Python counts as global, in part or in some versions, and yet is not for us: protocols' own (and a cloud's metadata),
# 6to4 relays, another cloud's "wire server".
_NOT_V4 = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
# Where IPv6 addresses of hosts are given out; beyond it lie tunnels, mappings and what is local.
_UNICAST = IPv6Network("2000::/3")
# Within it: Teredo, ORCHID, documentation. 6to4 is judged by what is inside.
_NOT_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "test", "invalid", "onion", "arpa")


class Refused(Exception):
    """The address is none that may be called."""


def is_public(text: str) -> bool:
    """Whether an IP address, as a resolver gives it, is on the public internet, whatever it is wrapped in."""
    try:
        address = ip_address(text)
    except ValueError:  # with a zone, or no address at all
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
    # A mapped IPv4 address lies outside of what is unicast, and no resolver gives one to who did not ask for it.
    return address in _UNICAST and address.is_global and not any(address in network for network in _NOT_V6)


def require(addresses: list[str]) -> list[str]:
    """All of them, or `Refused` if a single one may not be called: a name that also leads inside is not trusted outside either."""
    if not addresses or not (settings.WEBHOOKS_ALLOW_PRIVATE or all(map(is_public, addresses))):
        raise Refused
    return addresses


def host_is_plausible(host: str) -> bool:
    """What can be told of a host without asking for it: a name of the internet, or a public address."""
    host = host.rstrip(".").lower()
    literal = _literal(host)
    if literal is not None:
        return is_public(literal)
    labels = host.split(".")
    return len(labels) > 1 and len(host) <= 253 and all(0 < len(label) <= 63 for label in labels) and labels[-1] not in _LOCAL_NAMES


def _literal(host: str) -> str | None:
    """The address, if the host is one in any of the spellings that the system's resolver takes: 127.1, 0x7f000001, 2130706433, [::1]."""
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None
