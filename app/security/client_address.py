"""Whose address a request comes from: the rightmost hop that is none of our own proxies, which add what they saw."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

READ_CHARACTERS = 256  # more hops than there are proxies; the rest is the client's, who would fill the cache with it
SITE_BITS = 64  # what one IPv6 customer has at least (RFC 6177): an address of its own for each request


class ClientAddresses:
    """`trusted` are the networks of the load balancer and other proxies; what anybody else forwards is ignored."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)
        self._cached = lru_cache(maxsize=4096)(self._of)

    def of(self, peer: str, forwarded: str) -> Address | None:
        """The client by the connection's other end and X-Forwarded-For; None for a peer without an address."""
        return self._cached(peer, forwarded[-READ_CHARACTERS:])

    def _of(self, peer: str, forwarded: str) -> Address | None:
        client = _read(peer)
        hops = forwarded.split(",")
        while client and self._is_trusted(client) and hops:
            hop = _read(hops.pop())
            if hop is None:
                break  # not an address: whoever wrote it is the last one known
            client = hop
        return client

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def grouped(address: Address) -> str:
    """What one client shares a bucket by."""
    return str(address if address.version == 4 else ip_network((address, SITE_BITS), strict=False))


def _read(hop: str) -> Address | None:
    """With or without a port, as load balancers write it: 203.0.113.7:5000, [2001:db8::1]:5000."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
