"""Where a webhook may go."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpcore
import pytest

from app.failures import Refused
from app.runtime.problems import InvalidInput
from app.runtime.webhook_delivery import CheckedNetwork, RefusedAddress
from app.runtime.webhook_policy import WebhookPolicy, read_policy
from app.runtime.webhook_signature import key_of, read_secrets, signature

PUBLIC = WebhookPolicy()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # of Svix's documentation

ONE_DOMAIN = {"url": {"allowed_domains": ["example.com"]}}

NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104  compared, not bound
    "10.0.0.1",
    "100.64.0.1",  # carrier-grade NAT
    "127.0.0.1",
    "127.8.8.8",
    "169.254.169.254",  # metadata of EC2
    "169.254.170.23",  # EKS Pod Identity
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.5",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",  # 127.0.0.1, as IPv4-compatible
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",  # mapped: nothing says so on the wire
    "64:ff9b::7f00:1",  # NAT64
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "fc00::1",
    "fd00:ec2::254",  # metadata of EC2
    "fd00:ec2::23",  # EKS Pod Identity
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_no_webhook_goes_to_what_is_not_on_the_internet(address: str) -> None:
    assert not PUBLIC.allows("hooks.example.com", address)
    assert WebhookPolicy(private_hosts=frozenset({"hooks.internal"})).allows("hooks.internal", address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_webhooks_go_to_the_internet(address: str) -> None:
    assert PUBLIC.allows("hooks.example.com", address)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "//hooks.example.com/",
        "/internal/route",
        "hooks.example.com",
        "https://",
        "https:///path",
        "https://user:password@hooks.example.com/",
        "https://hooks.example.com/#fragment",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:65536/",
        "https://hooks.example.com:port/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/latest/meta-data",
        "https://[fe80::1%25eth0]/",
        "https://10.0.0.1:8443/",
        "https://hooks.example.com\\@10.0.0.1/",
        "https://hooks.example.com/\r\nhost: elsewhere",
        "https://hooks.example.com/ space",
        "https://ⓛocalhost/",
        "https://-hooks.example.com/",
        "https://[::1",
        "https://hooks.example.com/" + "a" * 4096,
        "https://hooks.example.com/\udcff",
        "",
    ],
)
def test_an_address_that_no_webhook_may_have_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"^webhook: ") as refused:
        PUBLIC.check(url)
    assert refused.value.field == "webhook"
    assert "password" not in refused.value.message


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com", "https://Hooks.Example.com:8443/a?b=c%20d&e=[1]", "https://8.8.8.8/"]
)
def test_public_addresses_by_https_are_taken(url: str) -> None:
    PUBLIC.check(url)


def test_what_the_operator_names_may_be_private_and_without_tls() -> None:
    policy = WebhookPolicy(private_hosts=frozenset({"hooks.svc.cluster.local", "10.1.2.3"}))
    policy.check("http://hooks.svc.cluster.local:9000/")
    policy.check("http://10.1.2.3:9000/")
    with pytest.raises(InvalidInput):
        policy.check("http://10.1.2.4:9000/")


def test_a_laptop_reaches_itself_and_nothing_else_that_is_private() -> None:
    policy = WebhookPolicy(laptop=True)
    policy.check("http://127.0.0.1:9000/")
    policy.check("http://localhost:9000/")
    with pytest.raises(InvalidInput):
        policy.check("http://192.168.1.1/")


def test_langgraph_json_narrows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LG_WEBHOOK_TOKEN", "t0ken")
    declared: dict[str, Any] = {
        "url": {"require_https": True, "allowed_domains": ["*.example.com", "one.org"], "allowed_ports": [9443]},
        "headers": {"authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}"},
    }
    policy = read_policy("langgraph.json", declared, frozenset(), laptop=True)
    policy.check("https://a.example.com:9443/")
    policy.check("https://one.org:9443/")
    assert policy.headers == {"authorization": "Bearer t0ken"}
    for url in ("https://example.com:9443/", "https://a.example.com/", "http://one.org:9443/", "https://two.org:9443/"):
        with pytest.raises(InvalidInput):
            policy.check(url)


@pytest.mark.parametrize(
    ("declared", "what"),
    [
        ([], "object"),
        ({"headers": {"a": "${{ env.HOME }}"}, **ONE_DOMAIN}, "LG_WEBHOOK_"),
        ({"headers": {"a": "${{ env.LG_WEBHOOK_NOWHERE }}"}, **ONE_DOMAIN}, "not set"),
        ({"url": {"disable_loopback": False}}, "disable_loopback"),
        ({"url": {"allowed_domain": ["example.com"]}}, "allowed_domain: no such key"),
        ({"urls": {"allowed_domains": ["example.com"]}}, "urls: no such key"),
        ({"headers": {"authorization": "Bearer secret"}, "url": {"require_https": True}}, "allowed_domains"),
    ],
)
def test_what_langgraph_json_asks_for_in_vain_is_refused(declared: Any, what: str) -> None:
    with pytest.raises(Refused, match=what):
        read_policy("langgraph.json", declared or [1], frozenset(), laptop=False)


def test_headers_for_any_address_are_for_a_laptop_alone() -> None:
    declared = {"headers": {"x-from": "agents"}}
    assert read_policy("langgraph.json", declared, frozenset(), laptop=True).headers == declared["headers"]
    assert (
        read_policy("langgraph.json", declared | ONE_DOMAIN, frozenset(), laptop=False).headers == declared["headers"]
    )


class Resolver:
    """Answers for names as an attacker's server would, and counts the questions."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int, **_: object) -> list[Any]:
        self.asked += 1
        found = self.answers.pop(0) if self.answers else ["127.0.0.1"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


def _connected(resolver: Resolver, policy: WebhookPolicy, connections: list[str]) -> None:
    async def connect() -> None:
        loop = asyncio.get_running_loop()
        loop.getaddrinfo = resolver  # pyright: ignore[reportAttributeAccessIssue]  the system's has no such names
        network = CheckedNetwork(policy)

        class Recording(httpcore.AsyncNetworkBackend):
            async def connect_tcp(self, host: str, *_: object, **__: object) -> Any:
                connections.append(host)
                return None

        network._network = Recording()  # pyright: ignore[reportPrivateUsage]  a connection to 8.8.8.8 is not to be made
        await network.connect_tcp("rebinding.example.com", 443)

    asyncio.run(connect())


def test_the_connection_is_made_to_the_address_that_was_looked_at() -> None:
    connections: list[str] = []
    resolver = Resolver(["8.8.8.8"], ["169.254.169.254"])
    _connected(resolver, PUBLIC, connections)
    assert (connections, resolver.asked) == (["8.8.8.8"], 1)


@pytest.mark.parametrize("answer", [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1"]])
def test_no_connection_is_made_when_a_name_leads_inside(answer: list[str]) -> None:
    connections: list[str] = []
    with pytest.raises(RefusedAddress):
        _connected(Resolver(answer), PUBLIC, connections)
    assert connections == []


def test_the_signature_is_that_of_the_standard() -> None:
    signed = signature(read_secrets(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="  # as in Svix's documentation


def test_each_secret_signs_and_tenants_have_keys_of_their_own() -> None:
    both = read_secrets(f"{SECRET}\nwhsec_{'A' * 32}\n")
    assert len(signature(both, "id", 1, b"").split()) == 2
    assert len({key_of(both[0], tenant) for tenant in ("", "a", "b")}) == 3


@pytest.mark.parametrize("content", ["", "whsec_", "whsec_c2hvcnQ=", "not base64!", "whsec_" + "A" * 400])
def test_what_is_no_secret_is_refused_and_not_repeated(content: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|holds)") as refused:
        read_secrets(content)
    assert not content or content not in str(refused.value)
