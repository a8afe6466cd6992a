"""Upstream addresses: which are allowed, and on whose machine they are. Looks at the text of the URL alone and resolves no name."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal
from urllib.parse import urlsplit

Place = Literal["loopback", "private", "elsewhere"]

# RFC 1918 and RFC 4193. Link-local addresses are left out on purpose: a cloud's metadata service has one.
_PRIVATE = tuple(ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))


def place_of(url: str) -> Place:
    """Where the host of ``url`` is. A name other than ``localhost`` is elsewhere: who answers to a name can change."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761
        return "loopback"
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return "elsewhere"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return "loopback"
    return "private" if any(address in block for block in _PRIVATE) else "elsewhere"


def fault_of(url: str, *, insecure: bool) -> tuple[str, str] | None:
    """What is wrong with ``url`` as an upstream address, and the next step; ``None`` when nothing is. The URL is not repeated in either."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "It is not a URL.", "Write it as https://host[:port]/path."
    if parts.username is not None or parts.password is not None:
        return "It carries credentials.", 'Keep them out of URLs: api_key = "env:NAME" sends a key as a header.'
    if parts.scheme not in ("http", "https") or not host:
        return "It is not an http or https URL.", "Write it as https://host[:port]/path."
    if parts.query or parts.fragment or any(character.isspace() for character in url):
        return "It has a query, a fragment or a space.", "Give the address up to the version path, such as https://host/v1."
    if parts.scheme == "http" and not insecure and place_of(url) == "elsewhere":
        return (
            "Plain http would show requests and key to the network.",
            "Use https, or set insecure = true if the way there is yours.",
        )
    return None
