"""PgBouncer between the service and PostgreSQL: transactions share few connections. LISTEN and the Jobs go past it."""

from __future__ import annotations

import hashlib

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.aws import database
from infra.component import Component
from infra.kubernetes import pods
from infra.kubernetes.charts import PLACED, requests_of
from infra.kubernetes.flows import POOLER_METRICS_PORT, POOLER_PORT
from infra.kubernetes.labels import API, PGBOUNCER_LABELS, SERVICE_NAME
from infra.kubernetes.namespace import PGBOUNCER
from infra.kubernetes.secrets import MountedSecrets
from infra.settings import Settings, platform
from infra.system_pods import POOLER

CONFIGURATION_PATH, USERS_PATH, SHARED_PATH = "/etc/pgbouncer", "/var/run/secrets/pgbouncer", "/tmp"  # noqa: S108 - the pod's own emptyDir
USERS = "users.txt"  # as database-init writes it
AUTHORITIES = f"{SHARED_PATH}/rds.pem"

# The limit of open files starts at 1024 where the node's container runtime sets none: below max_client_conn.
START = f"ulimit -Sn $(ulimit -Hn); exec pgbouncer {CONFIGURATION_PATH}/pgbouncer.ini"
# Endpoints lose the pod meanwhile; then transactions end, and with the last one the process. SIGTERM alone would wait
# for clients to leave, whose connections live for half an hour (pgbouncer.org/usage.html, Signals).
STOP = "sleep 5; kill -INT 1; sleep 60"
GRACE_SECONDS = 30


class Pooler(Component):
    """As many poolers as the settings say, each with its own connections to PostgreSQL.

    Produces: MountedSecrets, ConfigMap, Deployment, Service, PodDisruptionBudget.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        namespace: pulumi.Input[str],
        address: pulumi.Input[str],
        users_arn: pulumi.Input[str],
        cluster: pulumi.Resource,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        pooler = settings.database.pooler
        if pooler is None:
            raise ValueError("settings.database.pooler is not set")
        # A destroy drops what pods only read with the cluster.
        plain = pulumi.ResourceOptions.merge(self.child(), pulumi.ResourceOptions(deleted_with=cluster))
        users = MountedSecrets(PGBOUNCER, namespace, {USERS: users_arn}, plain)
        metadata = ObjectMetaArgs(name=PGBOUNCER, namespace=namespace, labels=PGBOUNCER_LABELS)
        text = pulumi.Output.from_input(address).apply(lambda host: configuration(pooler, host))
        file = core.ConfigMap(name, metadata=metadata, data={"pgbouncer.ini": text}, opts=plain)
        deployment = apps.Deployment(
            name,
            metadata=metadata,
            spec=apps.DeploymentSpecArgs(
                replicas=pooler.replicas,
                selector=LabelSelectorArgs(match_labels=PGBOUNCER_LABELS),
                strategy=apps.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=apps.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
                ),
                template=core.PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(
                        labels=PGBOUNCER_LABELS,
                        # Read at the start only: new pods for a new file.
                        annotations={"checksum/config": text.apply(lambda t: hashlib.sha256(t.encode()).hexdigest())},
                    ),
                    spec=_pod(settings, pooler, users.class_name),
                ),
            ),
            opts=self.child(depends_on=[users, file]),
        )
        core.Service(
            name,
            metadata=metadata,
            spec=core.ServiceSpecArgs(
                type="ClusterIP",
                selector=PGBOUNCER_LABELS,
                # The CNI's policy agent needs service port and container port to be equal.
                ports=[
                    core.ServicePortArgs(name="postgresql", port=POOLER_PORT, target_port=POOLER_PORT, protocol="TCP")
                ],
            ),
            opts=self.child(depends_on=[deployment]),
        )
        kubernetes.policy.v1.PodDisruptionBudget(
            name,
            metadata=metadata,
            spec=kubernetes.policy.v1.PodDisruptionBudgetSpecArgs(
                selector=LabelSelectorArgs(match_labels=PGBOUNCER_LABELS),
                max_unavailable=1,
                unhealthy_pod_eviction_policy="AlwaysAllow",
            ),
            opts=self.child(),
        )
        self.register_outputs({})


def pooled_url(settings: Settings) -> str:
    """What the service connects to. In clear text inside the cluster: SCRAM shows no password, policies guard the port."""
    host = f"{PGBOUNCER}.{settings.service.namespace}.svc"
    return f"postgresql://agent_app@{host}:{POOLER_PORT}/{database.NAME}?sslmode=disable"


def configuration(pooler: platform.Pooler, host: str) -> str:
    """pgbouncer.ini; its names and defaults: pgbouncer.org/config.html."""
    values = {
        "listen_addr": "0.0.0.0",  # noqa: S104 - the pod's own address, behind policies
        "listen_port": POOLER_PORT,
        # Who comes by this socket as the same Unix user is let into the console, as `pgbouncer`: the exporter.
        "unix_socket_dir": SHARED_PATH,
        "auth_type": "scram-sha-256",
        "auth_file": f"{USERS_PATH}/{USERS}",
        "pool_mode": "transaction",
        "max_prepared_statements": 200,  # the service prepares every statement; 0 would break that
        "max_client_conn": pooler.max_client_connections,
        "default_pool_size": pooler.pool_size,
        "reserve_pool_size": pooler.reserve_size,
        "reserve_pool_timeout": 1,  # PgBouncerClientsWait speaks of more than a second
        "query_wait_timeout": 5,  # as long as the service waits for a connection of its own pool; 120 by default
        "server_login_retry": 1,  # 15 by default: after a failover nobody would be let through for so long
        "server_tls_sslmode": "verify-full",
        "server_tls_ca_file": AUTHORITIES,
        # As the service's direct connections: found dead within 15 s of a failover.
        "tcp_keepidle": 5,
        "tcp_keepintvl": 5,
        "tcp_keepcnt": 2,
        "tcp_user_timeout": 15_000,
        "ignore_startup_parameters": "extra_float_digits",  # the exporter's driver sends it
        "log_connections": 0,  # probes connect all the time
        "log_disconnections": 0,
    }
    lines = [f"{key} = {value}" for key, value in values.items()]
    databases = f"{database.NAME} = host={host} port={database.PORT} dbname={database.NAME}"
    return "\n".join(["[databases]", databases, "", "[pgbouncer]", *lines, ""])


def _pod(settings: Settings, pooler: platform.Pooler, secrets_class: str) -> core.PodSpecArgs:
    mounted = {
        "configuration": pods.Volume(
            CONFIGURATION_PATH, {"config_map": core.ConfigMapVolumeSourceArgs(name=PGBOUNCER)}
        ),
        "secrets": pods.Volume(USERS_PATH, pods.secrets_of(secrets_class)),
    }
    small = requests_of(POOLER["pgbouncer-exporter"])
    # The service's image has the authorities of RDS, PgBouncer's has not.
    authorities = pods.container(
        "authorities",
        settings.service.image or "",
        {},
        {},
        command=["/bin/sh", "-c", f'cp "$PGSSLROOTCERT" {AUTHORITIES}'],
        resources=small,
    )
    pgbouncer = pods.container(
        PGBOUNCER,
        pooler.image or "",
        {},
        mounted,
        command=["/bin/sh", "-c", START],
        ports=[core.ContainerPortArgs(name="postgresql", container_port=POOLER_PORT)],
        resources=requests_of(POOLER[PGBOUNCER]),
        readiness_probe=_listens(period=5, failures=2),
        liveness_probe=_listens(period=10, failures=3),
        lifecycle=core.LifecycleArgs(
            pre_stop=core.LifecycleHandlerArgs(exec_=core.ExecActionArgs(command=["/bin/sh", "-c", STOP]))
        ),
    )
    console = f"host={SHARED_PATH} port={POOLER_PORT} user={PGBOUNCER} dbname={PGBOUNCER} sslmode=disable"
    exporter = pods.container(
        "exporter",
        pooler.exporter_image or "",
        {},
        {},
        args=[f"--pgBouncer.connectionString={console}"],
        ports=[core.ContainerPortArgs(name="metrics", container_port=POOLER_METRICS_PORT)],
        resources=small,
        # Its start page asks PgBouncer nothing.
        readiness_probe=pods.probe("/", "metrics", period=5, failures=2),
        liveness_probe=pods.probe("/", "metrics", period=10, failures=3),
    )
    return pods.pod(
        PGBOUNCER,
        [pgbouncer, exporter],
        mounted,
        init_containers=[authorities],
        priority_class_name=f"{SERVICE_NAME}-{API}",  # without it the API answers nobody
        termination_grace_period_seconds=GRACE_SECONDS,
        # The system nodes have no label of capacity.
        topology_spread_constraints=pods.spread(PGBOUNCER_LABELS, within="kubernetes.io/hostname"),
        node_selector=PLACED["nodeSelector"],
        tolerations=[pods.ON_SYSTEM_NODES],
    )


def _listens(period: int, failures: int) -> core.ProbeArgs:
    """Not whether PostgreSQL answers: without it no pooler is better than another."""
    return core.ProbeArgs(
        tcp_socket=core.TCPSocketActionArgs(port="postgresql"),
        period_seconds=period,
        timeout_seconds=2,
        failure_threshold=failures,
    )
