"""AWS Backup: daily and monthly copies, also in a second region, locked, and restored every week to prove it."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.aws.identity import assume_by_service
from infra.aws.keys import Keys, regional_key
from infra.component import Component
from infra.settings import Settings

DAILY_KEPT, MONTHLY_KEPT = 35, 365  # days

# What people hear of as it happens: the result of each drill, and copies that failed, with AWS's reason. Backups that
# failed ring an alarm: their own event, BACKUP_JOB_FAILED, is among those that AWS no longer sends, and
# BACKUP_JOB_COMPLETED comes every day (docs.aws.amazon.com/aws-backup/latest/devguide/backup-notifications.html).
EVENTS = ("COPY_JOB_FAILED", "RESTORE_JOB_COMPLETED")

# docs.aws.amazon.com/aws-backup/latest/devguide/security-iam-awsmanpol.html
ROLE_POLICIES = ("AWSBackupServiceRolePolicyForBackup", "AWSBackupServiceRolePolicyForRestores")


class Backup(Component):
    """The vaults, what goes into them, and the drill.

    Produces: Role with RolePolicyAttachments, Vault and (protected) VaultLockConfiguration, the same in the copy
    region with a Key of its own, VaultNotifications, Plan, Selection, RestoreTestingPlan, RestoreTestingSelection.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        keys: Keys,
        database_arn: pulumi.Input[str],
        subnet_group: pulumi.Input[str],
        copy_provider: aws.Provider,
        alerts_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(name, opts)
        role = aws.iam.Role(
            name,
            path=settings.role_path,
            assume_role_policy=json.dumps(assume_by_service("backup.amazonaws.com", settings.account.id)),
            permissions_boundary=settings.account.permission_boundary_arn,
            opts=self.child(),
        )
        attached: list[pulumi.Resource] = [
            aws.iam.RolePolicyAttachment(
                f"{name}-{policy}",
                role=role.name,
                policy_arn=f"arn:aws:iam::aws:policy/service-role/{policy}",
                opts=self.child(),
            )
            for policy in ROLE_POLICIES
        ]
        vault = self._vault(name, settings, keys.storage, self.child())
        away = self.child(provider=copy_provider)
        copy_key = regional_key(f"{name}-copy", settings, settings.backup.copy_region, away)
        copy = self._vault(f"{name}-copy", settings, copy_key.arn, away)
        # A vault rings a topic of its own region only.
        aws.backup.VaultNotifications(
            name,
            backup_vault_name=vault.name,
            backup_vault_events=list(EVENTS),
            sns_topic_arn=alerts_arn,
            opts=self.child(),
        )
        # Not within an hour before RDS's own windows (03:00-05:30), when backup jobs fail.
        plan = aws.backup.Plan(
            name,
            name=settings.name,
            rules=[
                _rule("daily", "cron(0 8 * * ? *)", DAILY_KEPT, vault.name, copy.arn),
                _rule("monthly", "cron(0 11 1 * ? *)", MONTHLY_KEPT, vault.name, copy.arn),
            ],
            opts=self.child(),
        )
        aws.backup.Selection(
            name,
            name="database",
            plan_id=plan.id,
            iam_role_arn=role.arn,
            resources=[database_arn],
            opts=self.child(depends_on=attached),
        )
        self._drill(settings, name, vault.arn, role.arn, database_arn, subnet_group)
        self.register_outputs({})

    def _vault(
        self, name: str, settings: Settings, key: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> aws.backup.Vault:
        vault = aws.backup.Vault(
            name,
            name=settings.name,
            kms_key_arn=key,
            force_destroy=not settings.protected,
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=settings.protected)),
        )
        if settings.protected:
            # Without changeable_for_days this is governance mode: a teardown may still remove the lock.
            aws.backup.VaultLockConfiguration(
                name,
                backup_vault_name=vault.name,
                min_retention_days=7,
                max_retention_days=MONTHLY_KEPT + 35,
                opts=opts,
            )
        return vault

    def _drill(
        self,
        settings: Settings,
        name: str,
        vault: pulumi.Input[str],
        role: pulumi.Input[str],
        database: pulumi.Input[str],
        subnet_group: pulumi.Input[str],
    ) -> None:
        plan = aws.backup.RestoreTestingPlan(
            name,
            name=settings.name.replace("-", "_"),  # letters, digits and underscores only
            schedule_expression="cron(0 12 ? * MON,THU *)",
            start_window_hours=4,
            recovery_point_selection=aws.backup.RestoreTestingPlanRecoveryPointSelectionArgs(
                algorithm="LATEST_WITHIN_WINDOW",
                include_vaults=[vault],
                recovery_point_types=["SNAPSHOT"],
                selection_window_days=7,
            ),
            opts=self.child(),
        )
        aws.backup.RestoreTestingSelection(
            name,
            name="database",
            restore_testing_plan_name=plan.name,
            protected_resource_type="RDS",
            protected_resource_arns=[database],
            iam_role_arn=role,
            validation_window_hours=4,
            # Where the copy is restored to: in the closed data subnets, never public.
            restore_metadata_overrides={"dbSubnetGroupName": subnet_group, "publiclyAccessible": "false"},
            opts=self.child(),
        )


def _rule(
    label: str, schedule: str, days: int, vault: pulumi.Input[str], copy_vault: pulumi.Input[str]
) -> aws.backup.PlanRuleArgs:
    return aws.backup.PlanRuleArgs(
        rule_name=label,
        target_vault_name=vault,
        schedule=schedule,
        start_window=60,  # minutes
        completion_window=360,
        lifecycle=aws.backup.PlanRuleLifecycleArgs(delete_after=days),
        copy_actions=[
            aws.backup.PlanRuleCopyActionArgs(
                destination_vault_arn=copy_vault,
                lifecycle=aws.backup.PlanRuleCopyActionLifecycleArgs(delete_after=days),
            )
        ],
    )
