"""Which addresses are somebody's own network, and which are the public internet.

Covers: the ranges of the IANA registries of special purposes (RFC 6890) as a table, addresses inside addresses, cloud
metadata. Written out, since what ``ipaddress`` calls global differs between versions of Python.
Does not cover: names, connecting (``sources/address_guard``). Light: it reads nothing and connects to nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from narrowboat.errors import UsageError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_METADATA = "a cloud's metadata service"
#: What is not the public internet, the narrow ones first, so that a message says the most.
_SPECIAL: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(range_), what)
    for range_, what in (
        ("169.254.169.254/32", _METADATA),  # most clouds
        ("169.254.170.2/32", _METADATA),  # credentials of a container task
        ("100.100.100.200/32", _METADATA),
        ("192.0.0.192/32", _METADATA),
        ("168.63.129.16/32", _METADATA),  # a public address, by its looks
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "an address of a carrier's shared network"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "an address for documentation"),
        ("192.88.99.0/24", "a reserved address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address for benchmarks"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("255.255.255.255/32", "a broadcast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("fd00:ec2::254/128", _METADATA),
        ("fd20:ce::254/128", _METADATA),
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("fc00::/7", "a private address"),
        ("ff00::/8", "a multicast address"),
        ("2001:2::/48", "an address for benchmarks"),
        ("2001:db8::/32", "an address for documentation"),
        ("3fff::/20", "an address for documentation"),
    )
)
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
#: Kept for protocols; Teredo, which goes through walls, lies in it.
_PROTOCOLS_6 = ipaddress.IPv6Network("2001::/23")
#: IPv6 ranges that are IPv4 seen from IPv6: mapped, and NAT64, which networks without IPv4 have.
_SAME = tuple(map(ipaddress.IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96")))
#: Others whose last four bytes are an IPv4 address: compatible, translated.
_LAST_FOUR = (*_SAME, *map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0:0/96")))
#: The third quarter of an address after which an IPv4 address follows (ISATAP, RFC 5214).
_ISATAP = (0x00005EFE, 0x02005EFE)


def inside(address: Address) -> str | None:
    """What an address is when it is not of the public internet (``a private address``); None when it is.

    One that holds another address (IPv4 in IPv6) is what that one is.
    """
    for held in _held(address):
        if (what := inside(held)) is not None:
            return f"{what} in another form"
    for network, what in _SPECIAL:
        if address.version == network.version and address in network:
            return what
    if isinstance(address, ipaddress.IPv4Address) or any(address in network for network in _SAME):
        return None
    return "a reserved address" if address not in _GLOBAL_6 or address in _PROTOCOLS_6 else None


def _held(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """IPv4 addresses that an IPv6 address leads on to."""
    if isinstance(address, ipaddress.IPv4Address) or int(address) < 2:  # unspecified and loopback hold nothing
        return
    in_last_four = any(address in network for network in _LAST_FOUR)
    if in_last_four or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks from ``10.1.0.0/16``, ``fd12::/48`` or a single address.

    Raises:
        UsageError: one is no network; names it.
    """
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text.strip()))
        except ValueError:
            raise UsageError(f"{text!r} is no network", hint="write it as 10.1.0.0/16 or fd12:3456::/48") from None
    return tuple(found)
