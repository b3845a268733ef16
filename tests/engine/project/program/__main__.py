"""The fixture: a small platform that the configuration varies, or resources that it lists one by one."""

import json
import os
from typing import Any, cast

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
import pulumi_random as random

ACCOUNT = "123456789012"
config = pulumi.Config()


def platform(chosen: dict[str, Any]) -> None:
    """A network, a database, a bucket, a cluster and what runs in it."""
    account = aws.Provider(
        "aws",
        region="us-east-1",
        allowed_account_ids=[ACCOUNT],
        default_tags=aws.ProviderDefaultTagsArgs(tags={"owner": chosen.get("owner", "tests")}),
    )
    opts = pulumi.ResourceOptions(provider=account)
    password = config.get_secret("password") or pulumi.Output.secret("not-so-secret")

    vpc = aws.ec2.Vpc("vpc", cidr_block=chosen.get("vpcCidr", "10.0.0.0/16"), opts=opts)
    subnets = [
        aws.ec2.Subnet(
            f"subnet-{zone}",
            vpc_id=vpc.id,
            availability_zone=f"us-east-1{zone}",
            cidr_block=f"10.0.{chosen.get('offset', 0) + number}.0/24",
            opts=opts,
        )
        for number, zone in enumerate("ab")
    ]
    group = aws.ec2.SecurityGroup(
        "group",
        name=chosen.get("groupName"),
        description=chosen.get("description", "database"),
        vpc_id=vpc.id,
        opts=opts,
    )
    place = aws.rds.SubnetGroup("place", subnet_ids=[subnet.id for subnet in subnets], opts=opts)
    aws.rds.Instance(
        "database",
        identifier="fixture",
        instance_class="db.t4g.medium",
        engine="postgres",
        allocated_storage=50,
        username="master",
        password=password,
        db_subnet_group_name=place.name,
        vpc_security_group_ids=[group.id],
        backup_retention_period=chosen.get("retention", 7),
        storage_encrypted=chosen.get("encrypted", True),
        skip_final_snapshot=True,
        opts=opts,
    )
    suffix = random.RandomId("suffix", byte_length=4, opts=pulumi.ResourceOptions(provider=random.Provider("random")))
    aws.s3.Bucket("bucket", bucket=pulumi.Output.concat("fixture-", suffix.hex), opts=opts)
    role = aws.iam.Role("role", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": []}), opts=opts)
    cluster = aws.eks.Cluster(
        "cluster",
        name=chosen.get("cluster", "fixture"),
        role_arn=role.arn,
        version="1.36",
        vpc_config=aws.eks.ClusterVpcConfigArgs(subnet_ids=[subnet.id for subnet in subnets]),
        opts=opts,
    )
    workloads(chosen, cluster, password)
    pulumi.export("bucket", suffix.hex.apply(lambda digits: f"fixture-{digits}"))
    pulumi.export("endpoint", cluster.endpoint)
    pulumi.export("password", password)


def workloads(chosen: dict[str, Any], cluster: aws.eks.Cluster, password: pulumi.Output[str]) -> None:
    """A namespace with a Deployment, its configuration and its secret."""
    provider = kubernetes.Provider(
        "kubernetes",
        kubeconfig=cluster.endpoint.apply(lambda server: json.dumps({"clusters": [{"cluster": {"server": server}}]})),
        cluster_identifier=cluster.arn,
    )
    opts = pulumi.ResourceOptions(provider=provider)
    namespace = kubernetes.core.v1.Namespace("namespace", metadata={"name": chosen.get("namespace", "demo")}, opts=opts)
    owner = cluster if chosen.get("deletedWithCluster") else None
    inside = pulumi.ResourceOptions(provider=provider, depends_on=[namespace], deleted_with=owner)
    kubernetes.core.v1.ConfigMap(
        "map", metadata={"name": "map", "namespace": "demo"}, data={"colour": chosen.get("colour", "blue")}, opts=inside
    )
    kubernetes.core.v1.Secret(
        "secret", metadata={"name": "secret", "namespace": "demo"}, string_data={"password": password}, opts=inside
    )
    labels = {"app": chosen.get("app", "demo")}
    spec: Any = {
        "replicas": chosen.get("replicas", 2),
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "demo", "image": "example.com/demo:1"}]},
        },
    }
    kubernetes.apps.v1.Deployment(
        "deployment",
        metadata={"name": "demo", "namespace": "demo"},
        spec=spec,
        opts=pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(ignore_changes=chosen.get("ignored", []))),
    )


class Listed(pulumi.CustomResource):
    """A resource of any type. ``{"from": "name.property"}`` among its inputs is another resource's output, and
    ``{"secret": value}`` a secret list with one value in it."""


def listed(rows: list[dict[str, Any]], account_id: str) -> None:
    """The resources that the configuration lists, in their order."""
    providers: dict[str, pulumi.ProviderResource] = {
        "aws": aws.Provider("aws", region="us-east-1", allowed_account_ids=[account_id]),
        "kubernetes": kubernetes.Provider("kubernetes", kubeconfig=config.get("kubeconfig") or ""),
        "random": random.Provider("random"),
    }
    made: dict[str, pulumi.CustomResource] = {}

    def filled(value: Any) -> Any:
        match value:
            case {"secret": hidden}:
                return pulumi.Output.secret([hidden])
            case {"from": reference}:
                name, attribute = str(reference).split(".")
                return made[name].id if attribute == "id" else getattr(made[name], attribute)
            case dict():
                return {key: filled(item) for key, item in cast("dict[str, Any]", value).items()}
            case list():
                return [filled(item) for item in cast("list[Any]", value)]
            case _:
                return value

    for row in rows:
        token: str = row["type"]
        made[row["name"]] = Listed(
            token,
            row["name"],
            # A property without a value is an output that others may take.
            {"arn": None, "name": None, **filled(row["inputs"])},
            opts=pulumi.ResourceOptions(
                provider=providers[token.split(":", 1)[0]],
                ignore_changes=row.get("ignoreChanges", []),
                import_=row.get("import"),
            ),
        )


if config.get_bool("showEnvironment"):
    pulumi.export("environment", dict(os.environ))
rows = config.get_object("resources")
if rows is None:
    platform(config.get_object("platform") or {})
else:
    listed(rows, config.get("account") or ACCOUNT)
