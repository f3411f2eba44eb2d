"""Which addresses the server may call for somebody else. The contract's §5.4.

Takes a URL, gives a sentence against it or none. Names are looked up here only to refuse early; whoever connects checks
the very address again (`worker.fetch`).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

MOST_CHARACTERS = 2048
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_EMBEDDING = tuple(ipaddress.ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
_SHARED = ipaddress.ip_network("100.64.0.0/10")


def refused(url: str, allow: tuple[str, ...], *, schemes: tuple[str, ...]) -> str | None:
    """Why a URL will not be called, or None. A name that does not resolve is accepted: the call will fail later."""
    if len(url) > MOST_CHARACTERS:
        return f"URL is longer than {MOST_CHARACTERS} characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "not a URL"
    host = parts.hostname
    if not host or any(ord(c) <= 32 or ord(c) == 127 for c in url):
        return "not a URL"
    if parts.username is not None or parts.password is not None:
        return "a URL with user info is not accepted"
    trusted = host_allowed(host, port, allow)
    if parts.scheme not in (*schemes, *(("http",) if trusted else ())):
        return f"URL must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if trusted:
        return None
    found = resolve(host)
    if any(not address_allowed(address, allow) for address in found):
        return "this address may not be called"
    return None


def resolve(host: str) -> list[Address]:
    """All addresses of a name or of an IP literal in any spelling; none where it does not resolve."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def address_allowed(address: Address, allow: tuple[str, ...]) -> bool:
    """Public unicast, or exempted by a CIDR (or the literal itself) of the allow-list."""
    return public(address) or any(address in net for net in _networks(allow))


def host_allowed(host: str, port: int | None, allow: tuple[str, ...]) -> bool:
    """Whether the allow-list names this host, or the network of this literal."""
    return host in allow or f"{host}:{port}" in allow or within(host, _networks(allow))


def within(host: str, networks: Iterable[Network]) -> bool:
    """Whether this literal is in one of them. A name is in none."""
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(literal in net for net in networks)


def public(address: Address) -> bool:
    """Neither loopback, private, link-local, shared, multicast, unspecified, reserved, nor embedding one of these."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return public(address.ipv4_mapped)
        if any(address in net for net in _EMBEDDING):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved and address not in _SHARED


def _networks(allow: tuple[str, ...]) -> list[Network]:
    nets: list[Network] = []
    for entry in allow:
        try:
            nets.append(ipaddress.ip_network(entry, strict=False))
        except ValueError:
            continue  # a host name
    return nets
