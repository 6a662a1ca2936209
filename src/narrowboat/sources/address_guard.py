"""The address guard: a fetch connects to the public internet alone, whatever an address or a redirect says.

Covers: which hosts and ports are refused by how they are written; names that mean something only inside; resolving a
host once, checking every address that it has, and connecting to one of just those. It sits where the connection is
made, so that redirects, feeds and later tries go through it too, and a name whose answer changes after the check leads
nowhere else. TLS and the Host header still have the name.
Does not cover: which ranges are inside (``networks``), requests (``client``), object stores, whose endpoints the
environment names. Proxies are never used.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from narrowboat.errors import AddressRefused
from narrowboat.networks import Address, Network, inside, parse_networks

Resolve = Callable[..., Sequence[tuple[Any, ...]]]
#: Of ports below this one only those of the web are let through: nobody else's mail server is talked to.
FIRST_OPEN_PORT = 1024
WEB_PORTS = (80, 443)
#: What ends names that are known only inside a network (RFC 6761, RFC 6762, RFC 8375, and those in use).
_INSIDE_NAMES = {"localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan", "arpa"}
_INSIDE_NAMES |= {"test", "onion"}
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")  # as the last label: what resolvers read as a number


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Opens connections to public addresses, and to those of ``allowed`` networks.

    ``resolve`` is asked as ``socket.getaddrinfo`` is; a seam for tests.
    """

    allowed: tuple[Network, ...] = ()
    resolve: Resolve = socket.getaddrinfo

    @classmethod
    def of(cls, allowed: Sequence[str] | None) -> AddressGuard | None:
        """A guard that lets these networks through beside public addresses; none when there is None."""
        return None if allowed is None else cls(parse_networks(allowed))

    def connect(self, host: str, port: int, timeout: float | None) -> socket.socket:
        """A connection to ``host``, at one of the addresses that were checked.

        Args:
            timeout: seconds for each address.

        Raises:
            AddressRefused: by its spelling, its name, its port, or any of its addresses.
            OSError: it has no address, or none of them answers.
        """
        refuse_port(host, port)
        literal = refuse_spelling(host)
        named_inside = literal is None and is_name_inside(host)
        if named_inside and not self.allowed:
            raise _refused(host, "is a name that is known only inside a network")
        found = self.resolve(host, port, type=socket.SOCK_STREAM)
        for family, *_, place in found:
            self._check(host, family, place, allowed_only=named_inside)
        return _connect_first(found, timeout)

    def _check(self, host: str, family: int, place: tuple[Any, ...], *, allowed_only: bool) -> None:
        if family not in (socket.AF_INET, socket.AF_INET6):
            raise _refused(host, "has an address of an unknown kind")
        text = str(place[0])
        if "%" in text or (family == socket.AF_INET6 and place[3]):
            raise _refused(host, "leads to a link-local address")
        address = ipaddress.ip_address(text)
        if self._is_allowed(address):
            return
        if allowed_only:
            raise _refused(host, "is a name that is known only inside a network")
        if (what := inside(address)) is not None:
            raise _refused(host, f"leads to {what}")

    def _is_allowed(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self.allowed)


def refuse_port(host: str, port: int) -> None:
    """Let 80, 443 and ports from 1024 on through.

    Raises:
        AddressRefused: it is another one.
    """
    if port not in WEB_PORTS and port < FIRST_OPEN_PORT:
        raise _refused(host, f"is asked for at port {port}, which is not one of the web")


def refuse_spelling(host: str) -> Address | None:
    """The address that ``host`` is written as; None for a name.

    Raises:
        AddressRefused: it is neither an address in its usual form nor a name: ``127.1``, ``0x7f000001``,
            ``2130706433``, ``fe80::1%eth0``, ``[::1``.
    """
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]") if "%" not in host else "")
        except ValueError:
            raise _refused(host, "is no address in its usual form") from None
    labels = host.lower().removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return ipaddress.IPv4Address(host)
        except ValueError:
            raise _refused(host, "is no address in its usual form") from None
    if len(host) > 254 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused(host, "is no name of a host")
    return None


def is_name_inside(host: str) -> bool:
    """Whether a name is one that only a network's own resolver knows: a single word, ``*.internal``, ``*.local`` …"""
    labels = host.lower().removesuffix(".").split(".")
    return len(labels) == 1 or labels[-1] in _INSIDE_NAMES


def _connect_first(found: Sequence[tuple[Any, ...]], timeout: float | None) -> socket.socket:
    """A connection to the first of the addresses that answers. They are numbers: nobody is asked for a name again."""
    failed: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for family, kind, protocol, _, place in found:
        made = None
        try:
            made = socket.socket(family, kind, protocol)
            made.settimeout(timeout)
            made.connect(place)
            return made
        except OSError as error:
            failed = error
            if made is not None:
                made.close()
    raise failed


def _refused(host: str, why: str) -> AddressRefused:
    shown = host if host.isprintable() and len(host) <= 255 else ascii(host)[:255]
    return AddressRefused(
        f"{shown} {why}: the address guard lets only public addresses through",
        hint="let its network through with --allow-networks, if that is meant",
        host=shown,
    )
