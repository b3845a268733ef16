"""Entries in Secrets Manager: made here empty, filled by people and Jobs, never by Pulumi."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws.keys import Keys
from infra.component import Component
from infra.settings import Settings

# Written by the database-init Job in the cluster, one role each.
DATABASE_ROLES = ("agent_app", "agent_migrate", "agent_ro", "agent_monitor")
POOLER_USERS = "database/pooler"  # PgBouncer's list of users, by the same Job


class Secrets(Component):
    """The environment's secret entries.

    Produces: a Secret per database role, for the pooler's users, and per name of settings.secrets.entries. No SecretVersion: a value set here
    would be in the state. ``python -m stacks.secrets set NAME`` writes one from standard input.
    """

    arns: dict[str, pulumi.Output[str]]  # by name without the environment's prefix

    def __init__(self, name: str, settings: Settings, keys: Keys, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        descriptions = {f"database/{role}": f"Password of the PostgreSQL role {role}" for role in DATABASE_ROLES}
        if settings.database.pooler:
            descriptions[POOLER_USERS] = "PgBouncer's users and their passwords"
        descriptions |= dict.fromkeys(settings.secrets.entries, "Set by: python -m stacks.secrets set")
        self.arns = {
            entry: aws.secretsmanager.Secret(
                f"{name}-{entry.replace('/', '-')}",
                name=f"{settings.name}/{entry}",
                description=description,
                kms_key_id=keys.data,
                # 0 days frees the name at once, so that a destroyed environment can be built again.
                recovery_window_in_days=30 if settings.protected else 0,
                opts=self.child(),
            ).arn
            for entry, description in descriptions.items()
        }
        self.register_outputs({})
