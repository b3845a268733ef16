"""Rules over more than one setting. Each yields problems with the remedy; none raises, so a reader sees all at once."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import combinations

from infra import capacity_rules, off_hours, service_rules
from infra.compatibility import incompatible, out_of_support
from infra.problems import Problem
from infra.regions import ZONES
from infra.settings import Settings
from infra.settings.platform import GRAFANA_PASSWORD, WITH_CREDENTIALS
from infra.versions import KUBERNETES_SUPPORT, kubernetes_support


def problems(settings: Settings) -> Iterator[Problem]:
    """Every broken rule of a settings object whose single fields are valid."""
    for rule in _RULES:
        yield from rule(settings)


def _network(settings: Settings) -> Iterator[Problem]:
    network = settings.network
    subnets: list[tuple[str, IPv4Network]] = []
    for index, zone in enumerate(network.zones):
        here = f"network.zones.{index}"
        if not zone.name.startswith(settings.region):
            yield Problem(f"{here}.name", zone.name, f"is not a zone of region {settings.region}", "Name its zones.")
        for kind in ("public", "private", "data", "endpoints"):
            block: IPv4Network = getattr(zone, kind)
            subnets.append((f"{here}.{kind}", block))
            if not block.subnet_of(network.cidr):
                yield Problem(f"{here}.{kind}", block, f"lies outside network.cidr={network.cidr}", "Move it inside.")
            if block.prefixlen > 28:
                yield Problem(f"{here}.{kind}", block, "AWS allows no subnet smaller than /28", "Use a larger block.")
    for (one, first), (other, second) in combinations(subnets, 2):
        if first.overlaps(second):
            yield Problem(other, second, f"overlaps {one}={first}", "Give each subnet a block of its own.")
    if network.service_cidr.overlaps(network.cidr):
        yield Problem(
            "network.serviceCidr",
            network.service_cidr,
            f"overlaps network.cidr={network.cidr}",
            "Choose another block.",
        )
    if not 16 <= network.cidr.prefixlen <= 28:
        yield Problem("network.cidr", network.cidr, "AWS allows a VPC from /16 to /28", "Choose a block of that size.")


def _zones(settings: Settings) -> Iterator[Problem]:
    network = settings.network
    letters = ZONES.get(settings.region)
    if letters is None:
        yield Problem(
            "region", settings.region, "its zones are unknown here", "Add it to infra/regions.py with its source."
        )
    for index, zone in enumerate(network.zones):
        if letters and zone.name.startswith(settings.region) and zone.name[-1] not in letters:
            yield Problem(
                f"network.zones.{index}.name",
                zone.name,
                f"region {settings.region} has the {len(letters)} zones {', '.join(letters)}",
                "Name one of these, or fewer zones.",
            )
    names = [zone.name for zone in network.zones]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem("network.zones", name, "the zone is listed twice", "List each zone once.")


def _account(settings: Settings) -> Iterator[Problem]:
    """Every ARN is of the account that the provider is bound to: a copied file must not reach into another one."""
    access, bootstrap = settings.access, settings.bootstrap
    named = [
        *(("access.deployers", arn) for arn in access.deployers),
        *(("access.admins", arn) for arn in access.admins),
        *(("access.viewers", arn) for arn in access.viewers),
        *(("access.breakGlass", arn) for arn in access.break_glass),
        *(("access.serviceDeployers", arn) for arn in access.service_deployers),
        *(("access.serviceViewers", arn) for arn in access.service_viewers),
        ("bootstrap.secretsKeyArn", bootstrap.secrets_key_arn),
        ("bootstrap.githubOidcProviderArn", bootstrap.github_oidc_provider_arn),
        ("account.permissionBoundaryArn", settings.account.permission_boundary_arn),
        *((f"registry.credentials.{name}", arn) for name, arn in settings.registry.credentials.items()),
    ]
    for field, arn in named:
        if arn and arn.split(":")[4] not in (settings.account.id, "aws"):
            yield Problem(
                field, arn, f"belongs to another account than account.id={settings.account.id}",
                "Correct one of the two.",
            )  # fmt: skip


def _names(settings: Settings) -> Iterator[Problem]:
    """Names that become logical names are told apart; EKS allows one access entry for a role."""
    access = settings.access
    roles = [
        *(*access.deployers, *access.admins, *access.viewers, *access.break_glass),
        *(*access.service_deployers, *access.service_viewers),
    ]
    lists: tuple[tuple[str, list[str], str], ...] = (
        ("access", roles, "a role has one access entry"),
        ("access", [arn.rsplit("/", 1)[-1] for arn in roles], "two roles of one name cannot be told apart"),
        (
            "secrets.entries",
            [entry.replace("/", "-") for entry in settings.secrets.entries],
            "two entries give one name",
        ),
        ("network.interfaceEndpoints", [*settings.network.interface_endpoints], "an endpoint is listed twice"),
    )
    for field, values, rule in lists:
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield Problem(field, value, rule, "List it once, or rename one.")


def _versions(settings: Settings) -> Iterator[Problem]:
    yield from incompatible(settings)
    through = settings.support.through
    yield from out_of_support(settings, through, f"support.through={through}")


def _cluster(settings: Settings) -> Iterator[Problem]:
    cluster = settings.cluster
    if kubernetes_support(cluster.version) is None:
        known = ", ".join(row.version for row in KUBERNETES_SUPPORT)
        yield Problem("cluster.version", cluster.version, "its support dates are unknown here", f"Use one of {known}.")
    if cluster.public_endpoint and not cluster.public_access_cidrs:
        yield Problem(
            "cluster.publicAccessCidrs",
            "[]",
            "a public endpoint must name who may reach it",
            "List your office or VPN ranges, or set cluster.publicEndpoint: false once a runner is inside the VPC.",
        )
    for block in cluster.public_access_cidrs:
        if block.prefixlen < 16:
            yield Problem(
                "cluster.publicAccessCidrs",
                block,
                "opens the API to everybody: wider than /16",
                "List your office or VPN ranges.",
            )


def _storage(settings: Settings) -> Iterator[Problem]:
    database = settings.database
    # RDS: the autoscaling threshold must be at least 10 % above the allocated storage (RDS user guide, storage autoscaling).
    least = -(-database.storage_gib * 11 // 10)
    if database.max_storage_gib < least:
        yield Problem(
            "database.maxStorageGib",
            database.max_storage_gib,
            f"must be at least 10 % above storageGib={database.storage_gib}",
            f"Set it to {least} or more.",
        )
    if settings.cache.multi_az and settings.cache.replicas == 0:
        yield Problem("cache.multiAz", True, "needs a replica in another zone", "Set cache.replicas to 1 or more.")


def _secrets_and_edge(settings: Settings) -> Iterator[Problem]:
    for name in settings.secrets.mounted:
        if name not in settings.secrets.entries:
            yield Problem(
                "secrets.mounted", name, "is not one of secrets.entries", "Add it there and set its value first."
            )
    if settings.monitoring.grafana and GRAFANA_PASSWORD not in settings.secrets.entries:
        yield Problem(
            "monitoring.grafana",
            True,
            f"needs {GRAFANA_PASSWORD} in secrets.entries",
            "Add it there and set its value.",
        )
    ingress = settings.ingress
    if (ingress.host is None) != (ingress.zone_id is None):
        yield Problem(
            "ingress", f"host={ingress.host} zoneId={ingress.zone_id}", "go together", "Set both, or neither in dev."
        )
    if settings.delivery.github_repository and not settings.bootstrap.github_oidc_provider_arn:
        yield Problem(
            "delivery.githubRepository",
            settings.delivery.github_repository,
            "needs bootstrap.githubOidcProviderArn",
            "Run python -m stacks.bootstrap and paste what it prints.",
        )
    if settings.backup.enabled and settings.backup.copy_region == settings.region:
        yield Problem(
            "backup.copyRegion", settings.region, "a copy in the same region goes with it", "Name another region."
        )


def _registry(settings: Settings) -> Iterator[Problem]:
    registry = settings.registry
    for name in sorted({*WITH_CREDENTIALS} & {*registry.pull_through} - registry.credentials.keys()):
        yield Problem(
            "registry.pullThrough",
            name,
            "lets AWS pull only with credentials",
            f"Put them into Secrets Manager as ecr-pullthroughcache/… and its ARN into registry.credentials.{name}.",
        )
    for name in sorted(registry.credentials.keys() - ({*WITH_CREDENTIALS} & {*registry.pull_through})):
        yield Problem(
            "registry.credentials",
            name,
            "is not one of registry.pullThrough that takes credentials",
            f"List it there, or remove its credentials; {' and '.join(WITH_CREDENTIALS)} take them.",
        )


def _production(settings: Settings) -> Iterator[Problem]:
    if settings.environment != "prod":
        return
    required = (
        ("database.multiAz", settings.database.multi_az, "survives the loss of a zone only with Multi-AZ"),
        ("cache.multiAz", settings.cache.multi_az, "survives the loss of a zone only with Multi-AZ"),
        (
            "database.deletionProtection",
            settings.database.deletion_protection,
            "production data must not go by accident",
        ),
        ("cluster.deletionProtection", settings.cluster.deletion_protection, "the cluster must not go by accident"),
        ("backup.enabled", settings.backup.enabled, "RDS's own snapshots go with the instance and the region"),
    )
    for field, on, why in required:
        if not on:
            yield Problem(
                field, False, f"required in prod: {why}", "Set it to true (teardown: true opens it for a destroy)."
            )
    if settings.network.nat_gateways != "perZone" or len(settings.network.zones) < 3:
        yield Problem(
            "network.natGateways",
            f"{settings.network.nat_gateways} over {len(settings.network.zones)} zones",
            "prod needs three zones and a NAT gateway in each, or a zone's loss takes the others' way out",
            "Set natGateways: perZone and list three zones.",
        )
    if settings.cache.lru is None:
        yield Problem(
            "cache.lru",
            "(absent)",
            "required in prod: what is cached fills the one group, and a full one refuses the streams",
            "Set cache.lru.nodeType, for example cache.t4g.small.",
        )
    if settings.ingress.host is None:
        yield Problem(
            "ingress.host", "(absent)", "prod is reached by name, with TLS", "Set ingress.host and ingress.zoneId."
        )
    if not settings.alerts.emails:
        yield Problem("alerts.emails", "[]", "alarms that nobody gets are none", "Name an address that somebody reads.")
    if settings.service.api.min_replicas < 5:
        yield Problem(
            "service.api.minReplicas",
            settings.service.api.min_replicas,
            "prod needs a pod in each zone, and a canary, at first one pod, to be a fifth of them at most",
            "Set it to 5 or more.",
        )


_RULES = (
    _account,
    _names,
    _network,
    _zones,
    capacity_rules.addresses,
    _cluster,
    _versions,
    capacity_rules.system_nodes,
    capacity_rules.workers,
    service_rules.workloads,
    service_rules.vertical,
    service_rules.shutdown,
    service_rules.environment,
    service_rules.capacity,
    service_rules.connections,
    service_rules.images,
    _storage,
    _secrets_and_edge,
    _registry,
    off_hours.rules,
    _production,
)
