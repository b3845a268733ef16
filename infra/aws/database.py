"""RDS PostgreSQL: runs, checkpoints and knowledge."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from infra.aws.cluster import Cluster
from infra.aws.identity import assume_by_service
from infra.aws.keys import Keys
from infra.aws.logs import log_group
from infra.aws.network import Network
from infra.aws.store_access import store_security_group
from infra.component import Component
from infra.settings import Settings
from infra.versions import POSTGRESQL

PORT = 5432
NAME = "agents"

# name, value, whether a restart is needed (RDS: static parameters take apply method pending-reboot)
PARAMETERS = (
    ("rds.force_ssl", "1", False),
    ("shared_preload_libraries", "pg_stat_statements,pgaudit", True),
    ("log_min_duration_statement", "500", False),  # ms
    ("idle_in_transaction_session_timeout", "30000", False),  # ms: a stuck client must not hold back vacuum
    ("log_lock_waits", "1", False),
    ("pgaudit.log", "ddl,role", True),
)


class Database(Component):
    """PostgreSQL with a master password that RDS makes, keeps and rotates every 7 days; it never enters our state.

    Produces: SubnetGroup, ParameterGroup, SecurityGroup with one ingress rule (from the cluster's group), two
    LogGroups, Role for enhanced monitoring, RandomId (name of the final snapshot), Instance.
    """

    address: pulumi.Output[str]  # host name, without port
    master_secret_arn: pulumi.Output[str]
    subnet_group: pulumi.Output[str]
    instance: aws.rds.Instance

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
        database = settings.database
        subnets = aws.rds.SubnetGroup(name, subnet_ids=network.data_subnet_ids, opts=self.child())
        parameters = aws.rds.ParameterGroup(
            name,
            family=f"postgres{POSTGRESQL}",
            parameters=[
                aws.rds.ParameterGroupParameterArgs(
                    name=parameter, value=value, apply_method="pending-reboot" if restart else "immediate"
                )
                for parameter, value, restart in PARAMETERS
            ],
            opts=self.child(),
        )
        group = store_security_group(name, "PostgreSQL", PORT, network, cluster, self.child())
        identifier = settings.name
        exports = ("postgresql", "upgrade")
        logs = [
            log_group(
                f"{name}-{export}",
                f"/aws/rds/instance/{identifier}/{export}",
                settings,
                keys.logs,
                settings.cluster.log_retention_days,
                self.child(),
            )
            for export in exports
        ]
        monitoring = aws.iam.Role(
            f"{name}-monitoring",
            path=settings.role_path,
            assume_role_policy=json.dumps(assume_by_service("monitoring.rds.amazonaws.com", settings.account.id)),
            permissions_boundary=settings.account.permission_boundary_arn,
            opts=self.child(),
        )
        attached = aws.iam.RolePolicyAttachment(
            f"{name}-monitoring",
            role=monitoring.name,
            policy_arn="arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole",
            opts=self.child(),
        )
        # A fixed name would make the second destroy fail on the first one's snapshot.
        snapshot = random.RandomId(f"{name}-final", byte_length=4, opts=self.child())
        keeps_snapshot = settings.protected
        self.instance = aws.rds.Instance(
            name,
            identifier=identifier,
            engine="postgres",
            engine_version=POSTGRESQL,  # the major: AWS withdraws minors, and maintenance applies them
            auto_minor_version_upgrade=True,
            engine_lifecycle_support="open-source-rds-extended-support-disabled",
            instance_class=database.instance_class,
            db_name=NAME,
            username="agents_master",
            manage_master_user_password=True,
            master_user_secret_kms_key_id=keys.data,
            iam_database_authentication_enabled=True,
            port=PORT,
            multi_az=database.multi_az,
            storage_type="gp3",
            allocated_storage=database.storage_gib,
            max_allocated_storage=database.max_storage_gib,
            storage_encrypted=True,
            kms_key_id=keys.data,
            db_subnet_group_name=subnets.name,
            parameter_group_name=parameters.name,
            vpc_security_group_ids=[group.id],
            publicly_accessible=False,
            backup_retention_period=database.backup_retention_days,
            backup_window="03:00-04:00",
            maintenance_window="sun:04:30-sun:05:30",
            copy_tags_to_snapshot=True,
            delete_automated_backups=not keeps_snapshot,
            deletion_protection=database.deletion_protection and not settings.teardown,
            skip_final_snapshot=not keeps_snapshot,
            final_snapshot_identifier=pulumi.Output.concat(identifier, "-final-", snapshot.hex)
            if keeps_snapshot
            else None,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=keys.data,
            database_insights_mode="standard",
            monitoring_interval=60,
            monitoring_role_arn=monitoring.arn,
            enabled_cloudwatch_logs_exports=list(exports),
            ca_cert_identifier="rds-ca-rsa2048-g1",
            allow_major_version_upgrade=database.upgrade_major,
            apply_immediately=database.upgrade_major or settings.environment == "dev",
            opts=self.child(depends_on=[*logs, attached], protect=settings.protected),
        )
        self.subnet_group = subnets.name
        self.address = self.instance.address
        self.master_secret_arn = self.instance.master_user_secrets.apply(lambda secrets: secrets[0].secret_arn or "")
        self.register_outputs({})
