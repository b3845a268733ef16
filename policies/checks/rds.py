"""RDS PostgreSQL: reach, encryption, backups, availability, versions."""

from __future__ import annotations

from infra.versions import POSTGRESQL_SUPPORT
from policies.check import Subject, check
from policies.links import is_public, linked, linking
from policies.properties import NotEvaluated, Properties

INSTANCE = "aws:rds/instance:Instance"
PARAMETER_GROUP = "aws:rds/parameterGroup:ParameterGroup"


@check(
    "rds-not-public",
    "The database has no public address",
    severity="critical",
    types=(INSTANCE,),
    remedy="Leave publiclyAccessible false and reach the database from the VPC.",
    controls={"AWS FSBP": ("RDS.2",), "SOC 2": ("CC6.6",)},
    references=("CKV_AWS_17", "AWS-0180"),
)
def not_public(database: Subject) -> str | None:
    """A public address puts the login prompt of every conversation's store on the internet."""
    return "publiclyAccessible is true" if database.properties.flag("publiclyAccessible") else None


@check(
    "rds-encrypted",
    "The database's storage is encrypted with a key of ours",
    severity="high",
    types=(INSTANCE,),
    remedy="Set storageEncrypted and kmsKeyId. On an existing database this is a replacement: restore a snapshot's encrypted copy.",
    controls={"AWS FSBP": ("RDS.3",), "SOC 2": ("CC6.1", "PI1.5")},
    references=("CKV_AWS_16", "AWS-0080"),
)
def encrypted(database: Subject) -> str | None:
    """Disks, snapshots and replicas hold what users wrote; with AWS's own key nobody here can withdraw access to them."""
    if not database.properties.flag("storageEncrypted"):
        return "storageEncrypted is not true"
    return None if database.properties.has("kmsKeyId") else "kmsKeyId is not set: the AWS-managed key is used"


@check(
    "rds-multi-az",
    "The database has a standby in another zone",
    severity="high",
    types=(INSTANCE,),
    remedy="Set database.multiAz: true.",
    controls={"AWS FSBP": ("RDS.5",), "SOC 2": ("A1.2",)},
    references=("CKV_AWS_157",),
)
def multi_az(database: Subject) -> str | None:
    """A single-AZ database is away for the whole of an AZ outage and of every patch."""
    return None if database.properties.flag("multiAz") else "multiAz is not true"


@check(
    "rds-backups",
    "Backups are kept long enough to notice a mistake",
    severity="high",
    types=(INSTANCE,),
    remedy="Set database.backupRetentionDays to the bound or more.",
    controls={"AWS FSBP": ("RDS.11",), "SOC 2": ("A1.2",)},
    references=("CKV_AWS_133", "AWS-0077"),
    parameters={"minDays": 7},
)
def backups(database: Subject) -> str | None:
    """Point-in-time recovery reaches back only as far as the retention."""
    days = database.properties.number("backupRetentionPeriod") or 0
    least = database.parameters["minDays"]
    return None if days >= least else f"backupRetentionPeriod={days:g} is less than {least:g} days"


@check(
    "rds-deletion-protection",
    "The database cannot be deleted by one call, and leaves a snapshot",
    severity="high",
    types=(INSTANCE,),
    remedy="Set deletionProtection, clear skipFinalSnapshot, and protect the resource; `teardown` opens all three.",
    controls={"AWS FSBP": ("RDS.8",), "SOC 2": ("C1.1",)},
    references=("CKV_AWS_293", "AWS-0177"),
)
def deletion_protection(database: Subject) -> str | None:
    """It is the only thing here that cannot be made again from the code."""
    if not database.properties.flag("deletionProtection"):
        return "deletionProtection is not true"
    if database.properties.flag("skipFinalSnapshot"):
        return "skipFinalSnapshot is true"
    return None if database.resource.options.protect else "Pulumi's protect is not set"


@check(
    "rds-force-ssl",
    "The database refuses connections without TLS",
    severity="high",
    types=(INSTANCE,),
    scope="stack",
    remedy="Attach a parameter group with rds.force_ssl = 1.",
    controls={"SOC 2": ("CC6.7",)},
    references=("CKV2_AWS_69",),
)
def force_ssl(database: Subject) -> str | None:
    """A client with sslmode=prefer falls back to clear text without a word."""
    groups = linked(database, "parameterGroupName", PARAMETER_GROUP)
    if not groups:
        return "no parameter group of this stack is attached"
    for group in groups:
        for parameter in Properties(group.inputs).parts("parameters"):
            if parameter.text("name") == "rds.force_ssl" and parameter.text("value") == "1":
                return None
    return "rds.force_ssl is not 1"


@check(
    "rds-minor-upgrades",
    "Minor versions come by themselves, in the maintenance window",
    severity="medium",
    types=(INSTANCE,),
    remedy="Set autoMinorVersionUpgrade and clear applyImmediately.",
    controls={"AWS FSBP": ("RDS.13",), "SOC 2": ("CC7.1",)},
    references=("CKV_AWS_226",),
)
def minor_upgrades(database: Subject) -> str | None:
    """Minor versions are security fixes; applied immediately, any change of the instance is an outage at noon."""
    if not database.properties.flag("autoMinorVersionUpgrade"):
        return "autoMinorVersionUpgrade is not true"
    return "applyImmediately is true" if database.properties.flag("applyImmediately") else None


@check(
    "rds-enhanced-monitoring",
    "The database's operating system is watched",
    severity="low",
    types=(INSTANCE,),
    remedy="Set monitoringInterval to 60 or less, with its role.",
    controls={"AWS FSBP": ("RDS.6",), "SOC 2": ("CC7.2",)},
    references=("CKV_AWS_118",),
)
def enhanced_monitoring(database: Subject) -> str | None:
    """CPU steal, swap and file system waits are in no CloudWatch metric of the instance."""
    return None if database.properties.number("monitoringInterval") else "monitoringInterval is 0 or not set"


@check(
    "rds-insights",
    "Slow queries can be found, and are encrypted with a key of ours",
    severity="low",
    types=(INSTANCE,),
    remedy="Set performanceInsightsEnabled and performanceInsightsKmsKeyId.",
    controls={"SOC 2": ("CC7.2", "CC6.1")},
    references=("CKV_AWS_353", "CKV_AWS_354", "AWS-0133", "AWS-0078"),
)
def insights(database: Subject) -> str | None:
    """It keeps the text of queries: what is in them is as secret as the database."""
    if not database.properties.flag("performanceInsightsEnabled"):
        return "performanceInsightsEnabled is not true"
    return None if database.properties.has("performanceInsightsKmsKeyId") else "performanceInsightsKmsKeyId is not set"


@check(
    "rds-log-exports",
    "The database's log leaves the instance",
    severity="medium",
    types=(INSTANCE,),
    remedy="List postgresql and upgrade in enabledCloudwatchLogsExports.",
    controls={"AWS FSBP": ("RDS.9", "RDS.36"), "SOC 2": ("CC7.2", "CC7.3", "PI1.3")},
    references=("CKV_AWS_129", "CKV2_AWS_30"),
)
def log_exports(database: Subject) -> str | None:
    """Log files on the instance are gone after three days, and with the instance."""
    given = database.properties.texts("enabledCloudwatchLogsExports")
    missing = [log for log in ("postgresql", "upgrade") if log not in given]
    return f"enabledCloudwatchLogsExports lacks {', '.join(missing)}" if missing else None


@check(
    "rds-iam-authentication",
    "People may sign in with their IAM identity",
    severity="low",
    types=(INSTANCE,),
    remedy="Set iamDatabaseAuthenticationEnabled.",
    controls={"AWS FSBP": ("RDS.10",), "SOC 2": ("CC6.1",)},
    references=("CKV_AWS_161", "AWS-0176"),
)
def iam_authentication(database: Subject) -> str | None:
    """Without it an engineer at night borrows the application's password."""
    given = database.properties.flag("iamDatabaseAuthenticationEnabled")
    return None if given else "iamDatabaseAuthenticationEnabled is not true"


@check(
    "rds-managed-password",
    "RDS makes and rotates the master password",
    severity="high",
    types=(INSTANCE,),
    remedy="Set manageMasterUserPassword, remove password, and choose another username.",
    controls={"AWS FSBP": ("RDS.25",), "SOC 2": ("CC6.1",)},
)
def managed_password(database: Subject) -> str | None:
    """A password that the program knows is in the state, in every export of it and in the plan of every change."""
    if database.properties.has("password"):
        return "password is set"
    if not database.properties.flag("manageMasterUserPassword"):
        return "manageMasterUserPassword is not true"
    name = database.properties.text("username")
    return f"username is {name}" if name in ("postgres", "admin", "root") else None


@check(
    "rds-tagged-snapshots",
    "Snapshots carry the database's tags",
    severity="low",
    types=(INSTANCE,),
    remedy="Set copyTagsToSnapshot.",
    controls={"AWS FSBP": ("RDS.17",), "SOC 2": ("CC7.5",)},
    references=("CKV2_AWS_60",),
)
def tagged_snapshots(database: Subject) -> str | None:
    """A snapshot without tags is in no bill and under no policy that goes by them."""
    return None if database.properties.flag("copyTagsToSnapshot") else "copyTagsToSnapshot is not true"


@check(
    "rds-version-supported",
    "The PostgreSQL major is in standard support",
    severity="high",
    types=(INSTANCE,),
    remedy="Raise database.version; docs/operations/upgrades.md says how.",
    controls={"SOC 2": ("CC7.1",)},
    references=("PRW rds_instance_extended_support",),
)
def version_supported(database: Subject) -> str | None:
    """Extended support is charged for every vCPU and hour, and begins without asking unless it is disabled."""
    version = (database.properties.text("engineVersion") or "").partition(".")[0]
    ends = {row.version: row.standard_until for row in POSTGRESQL_SUPPORT}
    if version not in ends:
        return f"engineVersion={version or 'not set'} is none whose support is recorded in infra/versions.py"
    until = ends[version]
    if until and until < database.today:
        return f"engineVersion={version} left standard support on {until}"
    disabled = database.properties.text("engineLifecycleSupport") == "open-source-rds-extended-support-disabled"
    return None if disabled else "engineLifecycleSupport does not disable extended support"


@check(
    "rds-storage-grows",
    "Storage is gp3 and grows by itself, up to a bound",
    severity="medium",
    types=(INSTANCE,),
    remedy="Set storageType gp3 and maxAllocatedStorage above allocatedStorage.",
    controls={"SOC 2": ("A1.2",)},
)
def storage_grows(database: Subject) -> str | None:
    """A full disk stops PostgreSQL, and RDS may not be changed for hours after a resize by hand."""
    kind = database.properties.text("storageType")
    if kind != "gp3":
        return f"storageType is {kind or 'not set'}"
    now, most = (database.properties.number(key) or 0 for key in ("allocatedStorage", "maxAllocatedStorage"))
    return None if most > now else f"maxAllocatedStorage={most:g} is not above allocatedStorage={now:g}"


@check(
    "rds-modern-authority",
    "The server's certificate is of a present authority",
    severity="medium",
    types=(INSTANCE,),
    remedy="Set caCertIdentifier to rds-ca-rsa2048-g1, rds-ca-rsa4096-g1 or rds-ca-ecc384-g1.",
    controls={"SOC 2": ("CC6.7",)},
    references=("CKV_AWS_211",),
)
def modern_authority(database: Subject) -> str | None:
    """rds-ca-2019 ended in August 2024: clients that verify stop connecting (rds/userguide/UsingWithRDS.SSL)."""
    given = database.properties.text("caCertIdentifier") or ""
    return None if given.endswith("-g1") else f"caCertIdentifier is {given or 'not set'}"


@check(
    "rds-private-subnets",
    "The database's subnets have no way to the internet",
    severity="critical",
    types=("aws:rds/subnetGroup:SubnetGroup",),
    scope="stack",
    remedy="List data subnets only, in at least two zones.",
    controls={"AWS FSBP": ("RDS.46",), "SOC 2": ("CC6.6",)},
)
def private_subnets(group: Subject) -> str | None:
    """publiclyAccessible is one flag; a subnet without a route is a second lock."""
    subnets = linked(group, "subnetIds", "aws:ec2/subnet:Subnet")
    if not subnets:
        raise NotEvaluated("subnetIds", "does not name subnets of this stack")
    public = [subnet.name for subnet in subnets if is_public(group.graph, subnet)]
    if public:
        return f"subnetIds names public subnets: {', '.join(public)}"
    zones = {Properties(subnet.inputs).text("availabilityZone") for subnet in subnets}
    return None if len(zones) > 1 else "its subnets are in one zone"


@check(
    "rds-ingress-from-groups",
    "The database is reached from named security groups",
    severity="high",
    types=(INSTANCE,),
    scope="stack",
    remedy="Let ingress rules name referencedSecurityGroupId in place of a CIDR.",
    controls={"SOC 2": ("CC6.6",)},
)
def ingress_from_groups(database: Subject) -> str | None:
    """A CIDR lets in whatever gets an address in it later."""
    for group in database.resource.property_dependencies.get("vpcSecurityGroupIds", ()):
        for rule in database.graph.of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"):
            if group in rule.property_dependencies.get("securityGroupId", ()):
                given = Properties(rule.inputs)
                if given.has("cidrIpv4") or given.has("cidrIpv6"):
                    return f"{rule.name} lets in a CIDR"
    return None


@check(
    "rds-backup-plan",
    "AWS Backup keeps copies that this account's mistakes do not reach",
    severity="high",
    types=(INSTANCE,),
    scope="stack",
    remedy="Add an aws.backup.Plan with a selection of the database and a locked vault.",
    controls={"SOC 2": ("A1.2", "PI1.5")},
)
def backup_plan(database: Subject) -> str | None:
    """Automated backups go with the instance; a locked vault in another region stays."""
    selections = linking(database.graph, database.resource, "aws:backup/selection:Selection", "resources")
    return None if any(selections) else "no backup selection names it"
