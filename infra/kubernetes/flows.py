"""Who may talk to whom, as data: from pods, to pods, at addresses. infra/kubernetes/network_policy.py makes policies of it.

Whatever is not listed here is refused in every namespace but kube-system: EKS's own agents run there, most of them on
the host's network, which no policy reaches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from app.contract import METRICS_PORT, PORT, WEBHOOK_PORTS
from infra.aws import cache, database
from infra.kubernetes.labels import (
    API_LABELS,
    COLLECTOR_LABELS,
    COMPONENT,
    DATABASE_INIT_LABELS,
    HOST_AGENTS,
    MIGRATE_LABELS,
    MONITORING,
    NAME,
    OFF_HOURS_LABELS,
    PGBOUNCER_LABELS,
    PROMETHEUS_LABELS,
    ROLLOUTS,
    SERVICE_NAME,
    WORKER_LABELS,
)
from infra.kubernetes.namespace import platform_namespaces
from infra.settings import Settings

# RFC 1918, carrier-grade NAT and link-local: an agent that may call the internet may not call our networks by it.
PRIVATE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
POD_IDENTITY_AGENT = "169.254.170.23/32"  # docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
OTLP_PORT = 4318  # OTLP over HTTP (opentelemetry.io/docs/specs/otlp)
POOLER_PORT, POOLER_METRICS_PORT = 6432, 9127  # PgBouncer's default; pgbouncer_exporter's default
KUBELET_PORT, NODE_EXPORTER_PORT = 10250, 9100


@dataclass(frozen=True)
class Pods:
    """Pods of a namespace: those that have one of the values of each label; without labels, all of them."""

    namespace: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels is one of them."""
        return all(labels.get(key) in values for key, values in self.labels.items())


@dataclass(frozen=True)
class Addresses:
    """Blocks of addresses, less some within them."""

    blocks: tuple[str, ...]
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flow:
    """One way that is open. Without ports, on all of them."""

    name: str
    source: Pods | Addresses
    target: Pods | Addresses
    ports: tuple[int, ...]
    protocols: tuple[str, ...] = ("TCP",)


def guarded(settings: Settings) -> list[str]:
    """The namespaces in which nothing is open but for the flows."""
    return [settings.service.namespace, *platform_namespaces(settings)]


def pods(settings: Settings) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Namespace and labels of every workload in a guarded namespace; those of charts as the charts' templates have them."""
    home = settings.service.namespace
    for labels in (API_LABELS, WORKER_LABELS, DATABASE_INIT_LABELS, MIGRATE_LABELS):
        yield home, labels
    if settings.database.pooler:
        yield home, PGBOUNCER_LABELS
    if settings.off_hours:
        yield home, OFF_HOURS_LABELS
    yield ROLLOUTS, {NAME: "argo-rollouts"}
    for name in _MONITORING:
        yield MONITORING, {NAME: name}
    yield MONITORING, PROMETHEUS_LABELS
    yield MONITORING, COLLECTOR_LABELS
    yield HOST_AGENTS, {NAME: "fluent-bit"}


_MONITORING = (
    "alertmanager",
    "grafana",
    "kube-prometheus-stack-prometheus-operator",
    "kube-state-metrics",
    "prometheus-adapter",
)


def flows(settings: Settings) -> Iterator[Flow]:
    """Every way that is open, in the order of the namespaces it starts from."""
    for namespace in guarded(settings):
        # TCP too: an answer over 512 bytes is asked again by TCP.
        cluster_dns = Pods("kube-system", {"k8s-app": ("kube-dns",)})
        yield Flow("dns", Pods(namespace), cluster_dns, (53,), ("UDP", "TCP"))
    yield from _service(settings)
    yield from _monitoring(settings)
    yield from _host_agents(settings)
    if ROLLOUTS in guarded(settings):
        controller = _named(ROLLOUTS, "argo-rollouts")
        yield Flow("api-server", controller, _api_server(settings), (443,))
        yield Flow("analysis", controller, _PROMETHEUS, (9090,))


_PROMETHEUS = Pods(MONITORING, {key: (value,) for key, value in PROMETHEUS_LABELS.items()})
_COLLECTOR = Pods(MONITORING, {key: (value,) for key, value in COLLECTOR_LABELS.items()})


def _service(settings: Settings) -> Iterator[Flow]:
    zones = settings.network.zones
    # By subnet, not by address: a failover moves the address of a store, and a load balancer's addresses change.
    data = Addresses(tuple(str(zone.data) for zone in zones))
    balancer = Addresses(tuple(str(zone.public if settings.ingress.host else zone.endpoints) for zone in zones))
    processes = _parts(settings, "api", "worker")
    with_role = _parts(settings, "api", "worker", "database-init")
    to_database = _parts(settings, "api", "worker", "database-init", "migrate")

    yield Flow("load-balancer", balancer, _parts(settings, "api"), (PORT,))
    yield Flow("scrape", _PROMETHEUS, processes, (METRICS_PORT,))
    # Jobs, and of each process the one connection that waits for LISTEN, which a pooler cannot hold.
    yield Flow("database", to_database, data, (database.PORT,))
    if settings.database.pooler:
        pooler = Pods(settings.service.namespace, {key: (value,) for key, value in PGBOUNCER_LABELS.items()})
        yield Flow("pooler", processes, pooler, (POOLER_PORT,))
        yield Flow("pooler-database", pooler, data, (database.PORT,))
        yield Flow("pooler-scrape", _PROMETHEUS, pooler, (POOLER_METRICS_PORT,))
    yield Flow("cache", processes, data, (cache.PORT,))
    # Models and tools; names cannot be told apart here, which is for a firewall or proxy before the NAT gateway.
    yield Flow("internet-https", processes, _INTERNET, (443,))
    yield Flow("webhooks", _parts(settings, "worker"), _INTERNET, WEBHOOK_PORTS)
    yield Flow("pod-identity", with_role, _AGENT, (80,))
    yield Flow("aws", with_role, _aws(settings, "secretsmanager"), (443,))
    yield Flow("traces", processes, _COLLECTOR, (OTLP_PORT,))
    if settings.off_hours:
        scales = _named(settings.service.namespace, OFF_HOURS_LABELS[NAME])
        yield Flow("api-server", scales, _api_server(settings), (443,))


def _monitoring(settings: Settings) -> Iterator[Flow]:
    nodes = Addresses(tuple(str(zone.private) for zone in settings.network.zones))
    readers = _named(MONITORING, "prometheus", "grafana", *_MONITORING[2:])
    yield Flow("inside", Pods(MONITORING), Pods(MONITORING), ())
    yield Flow("api-server", readers, _api_server(settings), (443,))
    yield Flow("node-metrics", _PROMETHEUS, nodes, (KUBELET_PORT, NODE_EXPORTER_PORT))
    # CoreDNS, Karpenter and the load balancer controller.
    yield Flow("system-metrics", _PROMETHEUS, Pods("kube-system"), (9153, 8080))
    yield Flow("agent-metrics", _PROMETHEUS, _FLUENT_BIT, (2020,))
    if ROLLOUTS in guarded(settings):
        yield Flow("rollout-metrics", _PROMETHEUS, _named(ROLLOUTS, "argo-rollouts"), (8090,))
    # The API server calls the operator's webhook and the metrics API by pod address.
    webhooks = _named(MONITORING, "kube-prometheus-stack-prometheus-operator", "prometheus-adapter")
    yield Flow("webhooks", _control_plane(settings), webhooks, (KUBELET_PORT, 6443))
    yield Flow("notifications", _named(MONITORING, "alertmanager"), _INTERNET, (443,))
    yield Flow("pod-identity", _COLLECTOR, _AGENT, (80,))
    yield Flow("aws", _COLLECTOR, _aws(settings, "xray"), (443,))


def _host_agents(settings: Settings) -> Iterator[Flow]:
    yield Flow("api-server", _FLUENT_BIT, _api_server(settings), (443,))
    yield Flow("pod-identity", _FLUENT_BIT, _AGENT, (80,))
    yield Flow("aws", _FLUENT_BIT, _aws(settings, "logs"), (443,))


_INTERNET = Addresses(("0.0.0.0/0",), PRIVATE_RANGES)
_AGENT = Addresses((POD_IDENTITY_AGENT,))
_FLUENT_BIT = Pods(HOST_AGENTS, {NAME: ("fluent-bit",)})


def _named(namespace: str, *names: str) -> Pods:
    return Pods(namespace, {NAME: names})


def _parts(settings: Settings, *components: str) -> Pods:
    """Some of what runs our image."""
    return Pods(settings.service.namespace, {NAME: (SERVICE_NAME,), COMPONENT: components})


def _control_plane(settings: Settings) -> Addresses:
    """Where EKS's interfaces into the VPC are; no pod has an address there."""
    return Addresses(tuple(str(zone.endpoints) for zone in settings.network.zones))


def _api_server(settings: Settings) -> Addresses:
    """The API server by its own addresses and by its Service's, which the CNI sees before it is translated."""
    first = settings.network.service_cidr[1]  # what Kubernetes gives its own Service
    return Addresses((*_control_plane(settings).blocks, f"{first}/32"))


def _aws(settings: Settings, service: str) -> Addresses:
    """One of AWS's services: at the VPC's endpoints, whose addresses are private, or on the internet if it has none."""
    listed = settings.network.interface_endpoints
    inside = tuple(str(zone.endpoints) for zone in settings.network.zones) if listed else ()
    if service in listed:
        return Addresses(inside)
    return Addresses((*inside, *_INTERNET.blocks), _INTERNET.without)
