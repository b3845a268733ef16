"""Where a webhook may go: what an address may look like, and which machines it may lead to.

Whoever may start a run names an address that this service calls from inside its network (server-side request forgery).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, cast
from urllib.parse import urlsplit

from app import contract
from app.failures import Refused
from app.runtime.problems import InvalidInput

Address = IPv4Address | IPv6Address

URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", re.ASCII)  # all that a URL may have (RFC 3986, 2)
HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\.?|[0-9a-f:]+", re.ASCII)
PORTS = frozenset(contract.WEBHOOK_PORTS)
HTTP_PORTS = {"http": 80, "https": 443}
LONGEST_URL = 4096  # langgraph-api's own (langgraph_api/webhook.py, max_url_length)

GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that is given out (RFC 4291, 2.4); NAT64 and mapped ones are outside
SPECIAL = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments (RFC 6890), which Python counts as global in part
    IPv6Network("2002::/16"),  # 6to4, which leads to any IPv4 address (RFC 3056)
    IPv6Network("3fff::/20"),  # documentation (RFC 9637), newer than Python's list
)

# langgraph-cli's own (langgraph_cli/schemas.py, WebhooksConfig and WebhookUrlPolicy).
KEYS = ("env_prefix", "url", "headers")
URL_KEYS = ("require_https", "allowed_domains", "allowed_ports", "max_url_length", "disable_loopback")
TEMPLATE = re.compile(r"\$\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def is_public(address: Address) -> bool:
    """Whether it is on the internet: not private, loopback, link-local (metadata), carrier-grade NAT, multicast …"""
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    special = address.is_multicast or address.is_reserved or any(address in network for network in SPECIAL)
    return address.is_global and not special


@dataclass(frozen=True)
class WebhookPolicy:
    """What the operator allows; `webhooks` of langgraph.json narrows it.

    `private_hosts` may be on private addresses, and be called without TLS. `laptop` allows that of this machine itself.
    """

    private_hosts: frozenset[str] = frozenset()
    laptop: bool = False
    require_https: bool = False
    domains: tuple[str, ...] = ()  # "hooks.example.com", "*.example.com"; empty for any
    ports: frozenset[int] = frozenset()  # empty for PORTS
    longest_url: int = LONGEST_URL
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def check(self, url: str) -> None:
        """Raises InvalidInput for an address that no webhook may have."""
        rule = self._broken_rule(url)
        if rule:
            raise InvalidInput(f"webhook: {rule}.", field="webhook")  # not the address: it may hold a secret

    def allows(self, host: str, address: str) -> bool:
        """Whether a webhook to this host may connect to this address."""
        found = ip_address(address.partition("%")[0])
        return host in self.private_hosts or is_public(found) or (self.laptop and found.is_loopback)

    def _broken_rule(self, url: str) -> str | None:
        if len(url) > self.longest_url:
            return f"is longer than {self.longest_url} characters. Send a shorter address"
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
            port = HTTP_PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
        except ValueError:
            return "is no address. Send one such as https://hooks.example.com/runs"
        if not URL.fullmatch(url) or not HOST.fullmatch(host):
            return "is no address in printable ASCII. Encode what else is in it: https://hooks.example.com/runs"
        if parts.username is not None or parts.fragment:
            return "has a user or a fragment, which are not sent. Leave them out"
        return self._broken_rule_of_host(parts.scheme, host.rstrip("."), port)

    def _broken_rule_of_host(self, scheme: str, host: str, port: int) -> str | None:
        private = host in self.private_hosts
        plain = (self.laptop or private) and not self.require_https
        if scheme != "https" and not (plain and scheme == "http"):
            return "has to begin with https://"
        allowed = self.ports or (frozenset() if self.laptop or private else PORTS)
        if allowed and port not in allowed:
            return f"port {port} is not allowed. Use one of {', '.join(map(str, sorted(allowed)))}"
        if self.domains and not any(_matches(host, pattern) for pattern in self.domains):
            return f"host {host} is not among the allowed domains of langgraph.json. Use one of those"
        try:
            literal = ip_address(host)
        except ValueError:
            return None  # a name: what it leads to is looked at when it is called
        return None if self.allows(host, str(literal)) else f"{host} is not a public address. Use a public one"


def _matches(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def read_policy(file: str, declared: object, private_hosts: frozenset[str], *, laptop: bool) -> WebhookPolicy:
    """With the `webhooks` of a langgraph.json. Raises Refused for what this service would not do as it says."""
    if declared is not None and not isinstance(declared, dict):
        raise Refused(f"{file}: webhooks: has to be an object, not {type(declared).__name__}.")
    content = cast("dict[str, Any]", declared or {})
    url = cast("dict[str, Any]", content.get("url") or {})
    _refuse_unknown_keys(f"{file}: webhooks", content, KEYS)
    _refuse_unknown_keys(f"{file}: webhooks.url", url, URL_KEYS)
    if content.get("headers") and not laptop and not url.get("allowed_domains"):
        raise Refused(
            f"{file}: webhooks.headers: would go to any address that a user names, with the secrets in them."
            " Set webhooks.url.allowed_domains."
        )
    if url.get("disable_loopback") is False:
        raise Refused(
            f"{file}: webhooks.url.disable_loopback=false: no webhook goes into this service. Remove the key."
        )
    prefix = content.get("env_prefix") or "LG_WEBHOOK_"
    headers = cast("dict[str, str]", content.get("headers") or {})
    return WebhookPolicy(
        private_hosts=private_hosts,
        laptop=laptop,
        require_https=bool(url.get("require_https")),
        domains=tuple(str(domain).lower() for domain in url.get("allowed_domains") or ()),
        ports=frozenset(int(port) for port in url.get("allowed_ports") or ()),
        longest_url=int(url.get("max_url_length") or LONGEST_URL),
        headers={name: _filled(file, name, value, prefix) for name, value in headers.items()},
    )


def _refuse_unknown_keys(where: str, content: Mapping[str, Any], known: Sequence[str]) -> None:
    """A rule that is misspelt would be none."""
    if unknown := [key for key in content if key not in known]:
        raise Refused(f"{where}.{unknown[0]}: no such key. Use {', '.join(known)}, or remove it.")


def _filled(file: str, name: str, value: str, prefix: str) -> str:
    """A header with the variables of the environment that it names as ${{ env.NAME }}."""

    def variable(found: re.Match[str]) -> str:
        wanted = found.group(1)
        if not wanted.startswith(prefix):
            raise Refused(f"{file}: webhooks.headers.{name}: {wanted} does not begin with {prefix}. Rename it.")
        if wanted not in os.environ:
            raise Refused(f"{file}: webhooks.headers.{name}: {wanted} is not set. Set it.")
        return os.environ[wanted]

    return TEMPLATE.sub(variable, value)
