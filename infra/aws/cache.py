"""ElastiCache for Valkey: wakes workers, carries streams, limits and caches. Losing it loses no run."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.cluster import Cluster
from infra.aws.keys import Keys
from infra.aws.logs import log_group
from infra.aws.network import Network
from infra.aws.store_access import store_security_group
from infra.component import Component
from infra.settings import Settings
from infra.versions import VALKEY, VALKEY_FAMILY

PORT = 6379
_COMMON = "+@read +@write +@connection -@dangerous"


@dataclass(frozen=True)
class Group:
    """One Valkey replication group, and what becomes of its keys when it is full."""

    name: str  # of the component
    id: str  # of the replication group; its nodes, users and log groups begin with it
    use: str
    eviction: str  # maxmemory-policy
    access: str  # what its one user may do, as Valkey's ACL
    node_type: str
    replicas: int
    multi_az: bool
    snapshot_days: int

    @property
    def evicts(self) -> bool:
        """Whether it holds only what may go at any time."""
        return self.eviction != "noeviction"

    @property
    def nodes(self) -> list[str]:
        """The ids of its nodes, numbered from 001 (ElastiCache user guide, metrics)."""
        return [f"{self.id}-{number:03d}" for number in range(1, self.replicas + 2)]


def groups(settings: Settings) -> list[Group]:
    """The groups of an environment, streams first. Without ``cache.lru`` the one group serves both uses.

    Then cached entries lie among the streams, need a TTL, and are refused, not evicted, when it is full.
    """
    cache = settings.cache
    streams = Group(
        "cache",
        settings.name,
        "streams, wake-ups, limits",
        "noeviction",  # a stream must not be evicted half-read
        f"on ~agent:* &agent:* -@all +@stream +@pubsub +@scripting {_COMMON}",
        cache.node_type,
        cache.replicas,
        cache.multi_az,
        cache.snapshot_retention_days,
    )
    if cache.lru is None:
        return [streams]
    evicting = Group(
        "cache-lru",
        f"{settings.name}-lru",
        "what may be computed again",
        "allkeys-lru",
        f"on ~agent:* -@all {_COMMON}",
        cache.lru.node_type,
        cache.lru.replicas,
        cache.lru.replicas > 0,
        0,  # restored, it would answer with what was true then
    )
    return [streams, evicting]


class Cache(Component):
    """One Valkey replication group, TLS only, its user by IAM token.

    Produces: SubnetGroup, ParameterGroup, SecurityGroup with one ingress rule, User of the service, UserGroup, LogGroups, ReplicationGroup.
    """

    url: pulumi.Output[str]  # of the primary and with the user, without a password: that is an IAM token
    arn: pulumi.Output[str]
    user_arn: pulumi.Output[str]

    def __init__(
        self,
        settings: Settings,
        valkey: Group,
        network: Network,
        cluster: Cluster,
        keys: Keys,
        opts: pulumi.ResourceOptions,
    ) -> None:
        name = valkey.name
        super().__init__(name, opts)
        subnets = aws.elasticache.SubnetGroup(name, subnet_ids=network.data_subnet_ids, opts=self.child())
        parameters = aws.elasticache.ParameterGroup(
            name,
            family=VALKEY_FAMILY,
            parameters=[aws.elasticache.ParameterGroupParameterArgs(name="maxmemory-policy", value=valkey.eviction)],
            opts=self.child(),
        )
        group = store_security_group(name, "Valkey", PORT, network, cluster, self.child())
        # Valkey, unlike Redis OSS, needs no user called default in the group: it is switched off by itself
        # (ElastiCache user guide, RBAC). With IAM, id and name must be equal (ElastiCache user guide, IAM authentication).
        service_user = f"{valkey.id}-agent"
        service = aws.elasticache.User(
            f"{name}-agent",
            user_id=service_user,
            user_name=service_user,
            engine="valkey",
            access_string=valkey.access,
            authentication_mode=aws.elasticache.UserAuthenticationModeArgs(type="iam"),
            opts=self.child(),
        )
        users = aws.elasticache.UserGroup(
            name,
            user_group_id=valkey.id,
            engine="valkey",
            user_ids=[service.user_id],
            opts=self.child(),
        )
        destinations = {
            log: log_group(
                f"{name}-{log}",
                f"/aws/elasticache/{valkey.id}/{log}",
                settings,
                keys.logs,
                settings.cluster.log_retention_days,
                self.child(),
            )
            for log in ("slow-log", "engine-log")
        }
        replication = aws.elasticache.ReplicationGroup(
            name,
            replication_group_id=valkey.id,
            description=f"{settings.name}: {valkey.use}",
            engine="valkey",
            engine_version=VALKEY,
            node_type=valkey.node_type,
            num_cache_clusters=len(valkey.nodes),
            automatic_failover_enabled=valkey.replicas > 0,
            multi_az_enabled=valkey.multi_az,
            parameter_group_name=parameters.name,
            subnet_group_name=subnets.name,
            security_group_ids=[group.id],
            port=PORT,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            at_rest_encryption_enabled=True,
            kms_key_id=keys.data,
            user_group_ids=users.user_group_id.apply(lambda group_id: [group_id]),
            snapshot_retention_limit=valkey.snapshot_days,
            snapshot_window="03:00-04:00",
            maintenance_window="sun:04:30-sun:05:30",
            auto_minor_version_upgrade=True,
            apply_immediately=settings.environment == "dev",
            log_delivery_configurations=[
                aws.elasticache.ReplicationGroupLogDeliveryConfigurationArgs(
                    destination=destination.name,
                    destination_type="cloudwatch-logs",
                    log_format="json",
                    log_type=log,
                )
                for log, destination in destinations.items()
            ],
            opts=self.child(protect=settings.protected and not valkey.evicts),
        )
        self.url = pulumi.Output.concat(f"rediss://{service_user}@", replication.primary_endpoint_address, f":{PORT}")
        self.arn, self.user_arn = replication.arn, service.arn
        self.register_outputs({})
