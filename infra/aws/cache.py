"""ElastiCache for Valkey: wakes workers, carries streams, limits and caches. Losing it loses no run."""

from __future__ import annotations

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
USER = "agent"


class Cache(Component):
    """One Valkey replication group, TLS only, users by IAM token.

    Produces: SubnetGroup, ParameterGroup, SecurityGroup with one ingress rule, User of the service, UserGroup, LogGroups, ReplicationGroup.
    """

    endpoint: pulumi.Output[str]  # primary's host name, without port
    arn: pulumi.Output[str]
    user_arn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: Settings,
        network: Network,
        cluster: Cluster,
        keys: Keys,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        cache = settings.cache
        subnets = aws.elasticache.SubnetGroup(name, subnet_ids=network.data_subnet_ids, opts=self.child())
        parameters = aws.elasticache.ParameterGroup(
            name,
            family=VALKEY_FAMILY,
            parameters=[
                # Streams must not be evicted half-read; what may go carries a TTL.
                aws.elasticache.ParameterGroupParameterArgs(name="maxmemory-policy", value="noeviction")
            ],
            opts=self.child(),
        )
        group = store_security_group(name, "Valkey", PORT, network, cluster, self.child())
        # Valkey, unlike Redis OSS, needs no user called default in the group: it is switched off by itself
        # (ElastiCache user guide, RBAC). With IAM, id and name must be equal (ElastiCache user guide, IAM authentication).
        service_user = f"{settings.name}-{USER}"
        service = aws.elasticache.User(
            f"{name}-{USER}",
            user_id=service_user,
            user_name=service_user,
            engine="valkey",
            access_string="on ~agent:* &agent:* -@all +@read +@write +@stream +@pubsub +@connection +@scripting -@dangerous",
            authentication_mode=aws.elasticache.UserAuthenticationModeArgs(type="iam"),
            opts=self.child(),
        )
        users = aws.elasticache.UserGroup(
            name,
            user_group_id=settings.name,
            engine="valkey",
            user_ids=[service.user_id],
            opts=self.child(),
        )
        destinations = {
            log: log_group(
                f"{name}-{log}",
                f"/aws/elasticache/{settings.name}/{log}",
                settings,
                keys.logs,
                settings.cluster.log_retention_days,
                self.child(),
            )
            for log in ("slow-log", "engine-log")
        }
        replication = aws.elasticache.ReplicationGroup(
            name,
            replication_group_id=settings.name,
            description=f"{settings.name}: streams, wake-ups, limits",
            engine="valkey",
            engine_version=VALKEY,
            node_type=cache.node_type,
            num_cache_clusters=1 + cache.replicas,
            automatic_failover_enabled=cache.replicas > 0,
            multi_az_enabled=cache.multi_az,
            parameter_group_name=parameters.name,
            subnet_group_name=subnets.name,
            security_group_ids=[group.id],
            port=PORT,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            at_rest_encryption_enabled=True,
            kms_key_id=keys.data,
            user_group_ids=users.user_group_id.apply(lambda group_id: [group_id]),
            snapshot_retention_limit=cache.snapshot_retention_days,
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
            opts=self.child(protect=settings.protected),
        )
        self.endpoint = replication.primary_endpoint_address
        self.arn, self.user_arn = replication.arn, service.arn
        self.register_outputs({})
