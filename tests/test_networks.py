"""Which addresses are inside."""

from __future__ import annotations

import ipaddress

import pytest

from narrowboat.errors import UsageError
from narrowboat.networks import inside, parse_networks


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "carrier"),
        ("100.127.255.255", "carrier"),
        ("100.100.100.200", "metadata"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("169.254.1.1", "link-local"),
        ("169.254.169.254", "metadata"),
        ("168.63.129.16", "metadata"),
        ("192.0.0.8", "reserved"),
        ("192.0.2.7", "documentation"),
        ("198.51.100.7", "documentation"),
        ("203.0.113.7", "documentation"),
        ("198.18.0.1", "benchmarks"),
        ("198.19.255.255", "benchmarks"),
        ("192.88.99.1", "reserved"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.250", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("fe80::1", "link-local"),
        ("fec0::1", "private"),
        ("fc00::1", "private"),
        ("fd12:3456::1", "private"),
        ("fd00:ec2::254", "metadata"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("2001:2::1", "benchmarks"),
        ("2001:20::1", "reserved"),
        ("100::1", "reserved"),
        ("5f00::1", "reserved"),
        ("64:ff9b:1::1", "reserved"),
        ("4000::1", "reserved"),
        ("::ffff:10.0.0.1", "private address in another form"),
        ("::10.0.0.1", "private address in another form"),
        ("::8.8.8.8", "reserved"),
        ("::ffff:0:10.0.0.1", "private address in another form"),
        ("64:ff9b::169.254.169.254", "metadata service in another form"),
        ("2002:a00:1::", "private address in another form"),
        ("2002:7f00:1::1", "loopback address in another form"),
        ("2001:0:a00:1::1", "private address in another form"),  # Teredo: its server
        ("2001:0:808:808:0:0:f5ff:fffe", "private address in another form"),  # its client, upside down
        ("2001:0:808:808:0:0:f7f7:f7f7", "reserved"),
        ("2606:4700::5efe:a00:1", "private address in another form"),
    ],
)
def test_inside(address: str, what: str) -> None:
    found = inside(ipaddress.ip_address(address))
    assert found is not None and what in found


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "2001:4860:4860::8888",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",  # how a network without IPv4 sees the internet
        "2002:808:808::1",
    ],
)
def test_public(address: str) -> None:
    assert inside(ipaddress.ip_address(address)) is None


def test_what_python_calls_private_is_inside() -> None:
    """The table against the library's own, wherever that knows better than an older one."""
    for first in range(256):
        for rest in ("0.0.1", "64.0.1", "168.1.1", "255.255.254", "18.0.1", "254.169.254"):
            address = ipaddress.ip_address(f"{first}.{rest}")
            if address.is_private or address.is_multicast or address.is_reserved:
                assert inside(address) is not None, address


def test_networks_are_read() -> None:
    assert list(map(str, parse_networks(["10.1.0.0/16", " ::1 "]))) == ["10.1.0.0/16", "::1/128"]
    for wrong in ("10.1.2.3/8", "localhost", "", "10.1.0.0/33"):
        with pytest.raises(UsageError, match="is no network"):
            parse_networks([wrong])
