"""A client's address cannot be chosen by the client."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.security.client_address import ClientAddresses, grouped

TRUSTED = (ip_network("10.0.0.0/16"), ip_network("fd00::/8"))
addresses = ClientAddresses(TRUSTED)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # nobody we trust: what it forwards is made up
        ("10.0.3.4", "198.51.100.1", "198.51.100.1"),
        ("10.0.3.4", "192.0.2.1, 198.51.100.1", "198.51.100.1"),  # the left one came from the client
        ("10.0.3.4", "198.51.100.1, 10.0.9.9", "198.51.100.1"),  # through two of ours
        ("10.0.3.4", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.3.4", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.3.4", "2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.3.4", "::ffff:198.51.100.1", "198.51.100.1"),
        ("10.0.3.4", "198.51.100.1, unknown", "10.0.3.4"),
        ("10.0.3.4", "", "10.0.3.4"),
        ("10.0.3.4", "10.0.9.9", "10.0.9.9"),
    ],
)
def test_the_client_is_the_rightmost_hop_that_is_no_proxy_of_ours(peer: str, forwarded: str, client: str) -> None:
    assert addresses.of(peer, forwarded) == ip_address(client)


@given(st.lists(st.ip_addresses().map(str) | st.text(st.characters(exclude_characters=",")), max_size=5))
def test_whatever_a_client_puts_before_the_hop_a_proxy_added_changes_nothing(made_up: list[str]) -> None:
    assert addresses.of("10.0.3.4", ",".join([*made_up, "198.51.100.1"])) == ip_address("198.51.100.1")
    assert addresses.of("203.0.113.9", ",".join(made_up)) == ip_address("203.0.113.9")


def test_addresses_of_one_ipv6_customer_are_one_and_ipv4_neighbours_are_two() -> None:
    assert grouped(ip_address("2001:db8:0:1::1")) == grouped(ip_address("2001:db8:0:1:ffff::2"))
    assert grouped(ip_address("2001:db8:0:1::1")) != grouped(ip_address("2001:db8:0:2::1"))
    assert grouped(ip_address("198.51.100.1")) != grouped(ip_address("198.51.100.2"))


def test_a_peer_without_an_address_has_none() -> None:
    assert addresses.of("", "198.51.100.1") is None
