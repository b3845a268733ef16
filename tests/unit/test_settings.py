"""A configuration is either whole and sound, or refused with what to do."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.problems import SettingsError
from infra.settings import load
from tests.environments import REMOVED, config_of, settings_of

SIGN_IN = {"issuer": "https://id.example.com", "audiences": ["agents"]}


def refusal(stack: str, changes: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as refused:
        load(config_of(stack, changes))
    return str(refused.value)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_shipped_environments_are_accepted(stack: str) -> None:
    assert load(config_of(stack)).environment == stack


def zones_of(region: str, letters: str) -> list[dict[str, str]]:
    """Zones of a region with blocks of the dev network, as many as there are letters."""
    return [
        {
            "name": f"{region}{letter}",
            "public": f"10.20.{number}.0/24",
            "data": f"10.20.{10 + number}.0/24",
            "endpoints": f"10.20.{20 + number}.0/24",
            "private": f"10.20.{32 * (number + 1)}.0/19",
        }
        for number, letter in enumerate(letters)
    ]


OFF = {"timeZone": "Europe/Berlin", "from": "20:00", "to": "08:00"}
BAD_INPUTS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("dev", {"region": REMOVED}, ["region=(absent)", "required"]),
    ("dev", {"region": "mars"}, ["region='mars'", "pattern"]),
    ("dev", {"database.multiAz": "yes"}, ["database.multiAz='yes'", "boolean"]),
    ("dev", {"database.storageGib": "fifty"}, ["database.storageGib='fifty'", "integer"]),
    ("dev", {"database.pooSize": 4}, ["database.pooSize=4", "no such setting", "Did you mean poolSize?"]),
    ("dev", {"databse": {}}, ["databse={}", "Did you mean database?"]),
    ("dev", {"environment": "staging"}, ["environment='staging'", "'dev' or 'prod'"]),
    ("dev", {"network.zones.1.private": "10.20.32.0/19"}, ["network.zones.1.private=10.20.32.0/19", "overlaps network.zones.0.private"]),
    ("dev", {"network.zones.0.data": "10.99.0.0/24"}, ["network.zones.0.data=10.99.0.0/24", "outside network.cidr=10.20.0.0/16"]),
    ("dev", {"network.zones.0.data": "10.20.10.5/24"}, ["network.zones.0.data='10.20.10.5/24'"]),
    ("dev", {"network.zones.0.name": "eu-west-1a"}, ["network.zones.0.name=eu-west-1a", "region us-east-1"]),
    ("dev", {"network.zones.1.name": "us-east-1a"}, ["network.zones=us-east-1a", "twice"]),
    ("dev", {"network.cidr": "10.0.0.0/8"}, ["network.cidr=10.0.0.0/8", "/16 to /28"]),
    ("dev", {"cluster.version": "1.29"}, ["cluster.version=1.29", "Use one of 1.34, 1.35, 1.36"]),
    ("dev", {"cluster.publicAccessCidrs": []}, ["cluster.publicAccessCidrs=[]", "cluster.publicEndpoint: false"]),
    ("dev", {"cluster.publicAccessCidrs": ["0.0.0.0/0"]}, ["opens the API to everybody"]),
    ("dev", {"access.deployers": []}, ["access.deployers=[]", "at least 1 item"]),
    ("dev", {"nodes.system.minSize": 3, "nodes.system.desiredSize": 2}, ["nodes.system.desiredSize=2", "minSize=3"]),
    ("dev", {"nodes.system.minSize": 1, "nodes.system.desiredSize": 1}, ["nodes.system.minSize=1", "Set at least 2"]),
    ("dev", {"nodes.workers.instanceTypes": ["m7i.xlarge"]}, ["1 types", "at least 15"]),
    ("dev", {"nodes.workers.instanceTypes.0": "m7g.xlarge"}, ["m7g.xlarge", "arm64"]),
    ("dev", {"nodes.workers.instanceTypes.0": "p5.48xlarge"}, ["p5.48xlarge", "not a t, c, m or r type"]),
    ("dev", {"service.workers.minReplicas": 9}, ["service.workers.minReplicas=9", "exceeds maxReplicas=6"]),
    ("dev", {"service.workers.maxReplicas": 300}, ["service.workers.maxReplicas=300", "nodes.workers.maxNodes"]),
    ("dev", {"service.api.maxReplicas": 20}, ["service.api.maxReplicas=20", "the 1 on-demand nodes hold", "must not wait for Spot"]),
    ("dev", {"service.api.memoryRequest": "2Gi"}, ["service.api.memoryRequest=2Gi", "at most memoryLimit=1Gi"]),
    ("dev", {"service.workers.cpuLimit": "64"}, ["service.workers.cpuLimit=64", "does not fit the smallest worker node"]),
    ("dev", {"service.workers.memoryLimit": "200Gi"}, ["service.workers.memoryLimit=200Gi", "does not fit"]),
    ("dev", {"service.workers.memoryLimit": "1G"}, ["service.workers.memoryLimit='1G'", "pattern"]),
    ("dev", {"service.vertical": {"minMemory": "4Gi"}}, ["service.vertical.minMemory=4Gi", "below maxMemory=4Gi"]),
    ("prod", {"service.vertical.controls": ["cpu", "memory"]}, ["service.vertical.controls=cpu", "a Utilization of the request", "Leave memory only"]),
    ("dev", {"service.drainSeconds": 90}, ["service.drainSeconds=90", "grace period of 125 s", "Spot gives 120 s", "Lower it to 84"]),
    ("dev", {"service.environment": {"AGENT_PORT": "1"}}, ["service.environment.AGENT_PORT", "the platform sets or needs it"]),
    ("dev", {"service.environment": {"OPENAI_API_KEY": "x"}}, ["service.environment.OPENAI_API_KEY=(not shown)", "secrets.mounted"]),
    ("dev", {"service.environment": {"agent-port": "1"}}, ["service.environment.agent-port", "no name of a variable"]),
    ("dev", {"service.signIn": {"issuer": "http://id.example.com", "audiences": ["agents"]}}, ["service.signIn.issuer='http://id.example.com'", "^https://"]),
    ("dev", {"service.signIn": {"issuer": "https://id.example.com:8443", "audiences": ["agents"]}}, ["service.signIn.issuer", "^https://"]),
    ("dev", {"service.signIn": {"issuer": "https://id.example.com", "audiences": []}}, ["service.signIn.audiences", "at least 1 item"]),
    ("dev", {"service.signIn": {"issuer": "https://id.example.com", "audiences": ["a,b"]}}, ["service.signIn.audiences.0='a,b'"]),
    ("dev", {"service.signIn": SIGN_IN, "service.environment": {"AGENT_AUTH_AUDIENCE": "b"}}, ["service.environment.AGENT_AUTH_AUDIENCE", "service.signIn sets it"]),
    ("dev", {"database.pooler": {"replicas": 1}}, ["database.pooler.replicas=1", "greater than or equal to 2"]),
    ("dev", {"database.pooler": {"poolSize": 200}}, ["database.pooler.poolSize=200", "max_connections=405"]),
    ("dev", {"database.pooler": {"maxClientConnections": 10}}, ["database.pooler.maxClientConnections=10", "3 poolers take"]),
    ("dev", {"service.image": "repo/agent:latest"}, ["service.image='repo/agent:latest'", "sha256"]),
    ("dev", {"database.poolSize": 100}, ["database.poolSize=100", "max_connections=405 of db.t4g.medium", "Lower database.poolSize to 28"]),
    ("dev", {"database.instanceClass": "db.x9.huge"}, ["database.instanceClass=db.x9.huge", "memory is unknown"]),
    ("dev", {"database.maxStorageGib": 50}, ["database.maxStorageGib=50", "Set it to 55 or more"]),
    ("dev", {"cache.multiAz": True}, ["cache.multiAz=True", "replicas to 1"]),
    ("dev", {"account.id": "999999999999"}, ["access.deployers=arn:aws:iam::123456789012", "account.id=999999999999"]),
    ("dev", {"network.zones.1.name": "us-east-1z"}, ["network.zones.1.name=us-east-1z", "has the 5 zones a, b, c"]),
    ("dev", {"region": "us-west-1", "network.zones": zones_of("us-west-1", "abc")}, ["network.zones.2.name=us-west-1c", "has the 2 zones a, b", "or fewer zones"]),
    ("dev", {"region": "xx-north-9"}, ["region=xx-north-9", "infra/regions.py"]),
    ("dev", {"cluster.version": "1.35"}, ["cluster.version=1.35", "outside the allowed skew"]),
    ("dev", {"cluster.version": "1.34"}, ["cluster.version=1.34: EKS ends its standard support on 2026-12-02, before support.through=2027-06-30", "Go up one minor at a time to 1.36"]),
    ("dev", {"support.through": "2027-08-03"}, ["cluster.version=1.36", "on 2027-08-02, before support.through=2027-08-03", "choose an earlier date"]),
    ("prod", {"support.through": "2031-03-01"}, ["versions.POSTGRESQL=18", "2031-02-28", "docs/operations/upgrades.md"]),
    ("dev", {"support.through": "soon"}, ["support.through='soon'", "valid date", 'Write it as "2027-06-30"']),
    ("dev", {"support": REMOVED}, ["support=(absent)", "required"]),
    ("dev", {"account.id": "12345"}, ["account.id='12345'"]),
    ("prod", {"database.multiAz": False}, ["database.multiAz=False", "required in prod"]),
    ("prod", {"database.deletionProtection": False}, ["database.deletionProtection=False", "teardown: true"]),
    ("prod", {"cluster.deletionProtection": False}, ["cluster.deletionProtection=False"]),
    ("prod", {"cache.multiAz": False}, ["cache.multiAz=False", "required in prod"]),
    ("prod", {"cache.lru": REMOVED}, ["cache.lru=(absent)", "required in prod", "cache.lru.nodeType"]),
    ("dev", {"cache.lru": {"nodeType": "t4g.small"}}, ["cache.lru.nodeType='t4g.small'", "pattern"]),
    ("dev", {"cache.lru": {"nodetype": "cache.t4g.small"}}, ["cache.lru.nodetype", "Did you mean nodeType?"]),
    ("prod", {"network.natGateways": "one"}, ["network.natGateways=one over 3 zones"]),
    ("prod", {"service.api.minReplicas": 2}, ["service.api.minReplicas=2", "5 or more"]),
    ("dev", {"network.zones.0.private": "10.20.32.0/24"}, ["network.zones.0.private=10.20.32.0/24", "251 usable", "Use a larger block"]),
    ("dev", {"nodes.system.instanceTypes": ["t3.medium"]}, ["nodes.system.minSize=2 × t3.medium", "with one node gone", "ask for"]),
    ("dev", {"secrets": {"mounted": ["nothing"]}}, ["secrets.mounted=nothing", "secrets.entries"]),
    ("dev", {"ingress": {"host": "a.example.com"}}, ["ingress=host=a.example.com zoneId=None", "Set both"]),
    ("dev", {"delivery": {"githubRepository": "o/r"}}, ["delivery.githubRepository=o/r", "python -m stacks.bootstrap"]),
    ("prod", {"alerts": {}}, ["alerts.emails=[]", "somebody reads"]),
    ("dev", {"cluster.publicAccessCidrs": ["0.0.0.0/1", "128.0.0.0/1"]}, ["cluster.publicAccessCidrs=0.0.0.0/1", "wider than /16"]),
    ("dev", {"cluster.logRetentionDays": 45}, ["cluster.logRetentionDays=45"]),
    ("dev", {"network.interfaceEndpoints": ["s3"]}, ["network.interfaceEndpoints.0='s3'", "Use one of these"]),
    ("dev", {"network.interfaceEndpoints": ["sts", "sts"]}, ["network.interfaceEndpoints=sts", "listed twice"]),
    ("dev", {"access.viewers": ["arn:aws:iam::123456789012:role/agents-deploy-dev"]}, ["one access entry"]),
    ("dev", {"secrets": {"entries": ["a/b", "a-b"]}}, ["secrets.entries=a-b", "two entries give one name"]),
    ("dev", {"network.zones.1.name": "us-east-1e"}, ["network.zones.1.name=us-east-1e", "has the 5 zones"]),
    ("prod", {"ingress": {}}, ["ingress.host=(absent)", "prod is reached by name"]),
    ("prod", {"offHours": OFF}, ["offHours=20:00 to 08:00", "prod answers at night too", "Remove it."]),
    ("dev", {"offHours": {**OFF, "timeZone": "Europe/Atlantis"}}, ["offHours.timeZone=Europe/Atlantis", "pinned tzdata", "Etc/UTC"]),
    ("dev", {"offHours": {**OFF, "timeZone": "localtime"}}, ["offHours.timeZone=localtime", "is no time zone"]),
    ("dev", {"offHours": {**OFF, "to": "20:00"}}, ["offHours.to=20:00", "is 0 minutes after offHours.from=20:00", "60 minutes or more"]),
    ("dev", {"offHours": {**OFF, "to": "20:59"}}, ["offHours.to=20:59", "nodes go 30 minutes after the one and come 15 before"]),
    ("dev", {"offHours": {**OFF, "workdays": []}}, ["offHours.workdays=[]", "at least 1 item"]),
    ("dev", {"offHours": {**OFF, "workdays": ["friday", "friday"]}}, ["offHours.workdays=friday", "listed twice"]),
    ("dev", {"offHours": {**OFF, "workdays": ["Friday"]}}, ["offHours.workdays.0='Friday'", "Use one of these"]),
    ("dev", {"offHours": {**OFF, "from": 1200}}, ["offHours.from=1200", "valid string", "Write it in quotes."]),
    ("dev", {"offHours": {**OFF, "from": "24:00"}}, ["offHours.from='24:00'", "Write it in that form."]),
    ("dev", {"offHours": {**OFF, "days": ["monday"]}}, ["offHours.days", "no such setting", "workdays"]),
    ("dev", {"offHours": {"from": "20:00", "to": "08:00"}}, ["offHours.timeZone=(absent)", "required"]),
    ("dev", {"offHours": OFF, "nodes.system.desiredSize": 1, "nodes.system.minSize": 1}, ["nodes.system.desiredSize=1", "in each of the 2 zones", "Set 2 or more"]),
    ("dev", {"offHours": OFF, "registry": {"pullThrough": []}}, ["offHours=20:00 to 08:00", "kubectl's image", "Add registry.k8s.io to registry.pullThrough."]),
    ("prod", {"backup.enabled": False}, ["backup.enabled=False", "required in prod"]),
    ("prod", {"backup": {"enabled": True, "copyRegion": "us-east-1"}}, ["backup.copyRegion=us-east-1", "Name another region"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("stack", "changes", "said"),
    BAD_INPUTS,
    ids=[f"{number}-{next(iter(row[1]))}" for number, row in enumerate(BAD_INPUTS)],
)
def test_a_bad_input_is_refused_with_field_value_rule_and_remedy(
    stack: str, changes: dict[str, Any], said: list[str]
) -> None:
    message = refusal(stack, changes)
    for part in said:
        assert part in message


def test_every_problem_is_reported_at_once() -> None:
    message = refusal("prod", {"database.multiAz": False, "cache.multiAz": False, "database.poolSize": 900})
    assert message.count("\n") == 2


def test_every_problem_of_off_hours_is_reported_at_once() -> None:
    message = refusal("prod", {"offHours": {**OFF, "timeZone": "Nowhere", "to": "20:00", "workdays": ["friday"] * 2}})
    fields = ["offHours", "offHours.timeZone", "offHours.to", "offHours.workdays"]
    assert [line.strip().partition("=")[0] for line in message.splitlines()] == fields


def test_teardown_may_be_set_as_the_plain_string_that_pulumi_stores() -> None:
    assert settings_of("prod", {"teardown": "true"}).protected is False
    assert settings_of("prod", {"teardown": "false"}).protected is True
    assert "teardown='maybe'" in refusal("prod", {"teardown": "maybe"})


def test_a_date_may_stand_without_quotes_as_pulumi_then_hands_it_over() -> None:
    assert settings_of("dev", {"support.through": "2027-03-31 00:00:00 +0000 UTC"}).support.through == date(2027, 3, 31)


def test_settings_cannot_be_changed_after_they_were_checked() -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings_of("dev").database.multi_az = True  # type: ignore[misc] - that it is refused is the point


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(section=st.sampled_from(["network", "nodes", "database", "service", "access", "region"]), value=json_values)
def test_no_value_of_a_section_crashes_the_reader(section: str, value: object) -> None:
    with pytest.raises(SettingsError):
        load(config_of("dev", {section: value}))
