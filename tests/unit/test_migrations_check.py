"""What the pre-flight says of migrations: by the Jobs that stand in the cluster and the commits of their images."""

from __future__ import annotations

import base64
import json
import subprocess
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from infra.kubernetes.labels import COMPONENT
from stacks.account import open_account
from stacks.cluster_api import token
from stacks.configuration import ROOT
from stacks.migrations import Job, Schema, jobs_of, judged, look, schema_at, schema_of
from stacks.terminal import Refused
from tests.aws_account import aws_account
from tests.environments import graph_of, settings_of

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/langgraph-agents"
OLD, NEW = (f"{REGISTRY}@sha256:{digit * 64}" for digit in "12")
SERVICE = {"service.image": NEW}


@pytest.mark.parametrize(
    ("jobs", "old", "new", "status", "told"),
    [
        ([], None, None, "pass", "the first up runs every migration"),
        ([Job(NEW, "Complete")], None, None, "pass", "have run"),
        ([Job(NEW, "Failed"), Job(OLD, "Complete")], None, None, "fail", "docs/runbooks/AgentJobFailed.md"),
        ([Job(NEW, "")], None, None, "warn", "is running"),
        ([Job(OLD, "Failed")], None, None, "could not check", "no migrate Job ended well"),
        ([Job(OLD, "Complete")], Schema(12, 2), Schema(16, 2), "pass", "from schema 12 to 16"),
        ([Job(OLD, "Complete")], Schema(16, 2), Schema(16, 2), "pass", "has schema 16"),
        ([Job(OLD, "Complete")], Schema(16, 2), Schema(12, 2), "pass", "has schema 16"),
        ([Job(OLD, "Complete")], Schema(16, 14), Schema(12, 2), "fail", "needs code of schema 14, service.image is of 12"),
        ([Job(OLD, "Complete")], Schema(12, 2), Schema(16, 14), "fail", "Deploy a version between first"),
        ([Job(OLD, "Complete")], None, Schema(16, 2), "could not check", f"of which commit {OLD} is"),
        ([Job(OLD, "Complete")], Schema(12, 2), None, "could not check", f"of which commit {NEW} is"),
    ],
)  # fmt: skip
def test_the_images_schema_is_held_against_the_databases(
    jobs: list[Job], old: Schema | None, new: Schema | None, status: str, told: str
) -> None:
    found = judged(NEW, jobs, {OLD: old, NEW: new}.__getitem__)
    assert (found.check, found.status) == ("migrations", status)
    assert told in found.detail


def test_the_programs_own_job_is_found_by_its_label_and_read() -> None:
    made = graph_of("prod", SERVICE, preview=False).one("kubernetes:batch/v1:Job", "database-jobs-migrate").inputs
    conditions = [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == f"/apis/batch/v1/namespaces/{made['metadata']['namespace']}/jobs"
        assert request.url.params["labelSelector"] == f"{COMPONENT}={made['metadata']['labels'][COMPONENT]}"
        return httpx.Response(200, json={"items": [{"spec": made["spec"], "status": {"conditions": conditions}}]})

    with httpx.Client(base_url="https://cluster.test", transport=httpx.MockTransport(answer)) as cluster:
        assert jobs_of(cluster, settings_of("prod").service.namespace) == [Job(NEW, "Complete")]


def test_a_cluster_that_cannot_be_asked_is_said_with_its_reason() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("private", request=request)

    def closed(_: httpx.Request) -> httpx.Response:
        return httpx.Response(403)

    for answer, reason in ((away, "from the VPC"), (closed, "answered 403")):
        with (
            httpx.Client(base_url="https://cluster.test", transport=httpx.MockTransport(answer)) as cluster,
            pytest.raises(Refused, match=reason),
        ):
            jobs_of(cluster, "agent")


def test_an_images_schema_is_that_of_the_commit_in_its_tag() -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = subprocess.run(
        ["git", "ls-tree", "--name-only", "HEAD", "app/migrations/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    newest = max(int(name.rsplit("/", 1)[1][:4]) for name in names)
    assert schema_at("HEAD").newest == newest
    with aws_account() as session:
        ecr = session.client("ecr")
        ecr.create_repository(repositoryName="langgraph-agents")
        images: dict[str, str] = {}
        for tag in (head.strip(), "0" * 40, "latest"):
            kind = "application/vnd.oci.image.manifest.v1+json"
            manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": {"digest": tag}})
            put = ecr.put_image(repositoryName="langgraph-agents", imageManifest=manifest, imageTag=tag)
            images[tag] = f"{REGISTRY}@{put['image'].get('imageId', {}).get('imageDigest')}"
        found = [schema_of(ecr, image) for image in (*images.values(), OLD)]
    assert [schema and schema.newest for schema in found] == [newest, None, None, None]


def test_without_an_image_or_a_cluster_there_is_nothing_to_hold_against() -> None:
    with aws_account():
        account = open_account(settings_of("dev"), "dev")
        assert "nothing migrates" in look(account, settings_of("dev", image=False)).detail
        assert "no cluster yet" in look(account, settings_of("dev", SERVICE)).detail


def test_the_token_is_a_signed_request_for_the_callers_identity_bound_to_the_cluster() -> None:
    with aws_account() as session:
        kind, _, encoded = token(session, "us-east-1", "agents-dev").rpartition(".")
    address = urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    asked = parse_qs(address.query)
    assert (kind, address.netloc) == ("k8s-aws-v1", "sts.us-east-1.amazonaws.com")
    assert asked["Action"] == ["GetCallerIdentity"]
    assert asked["X-Amz-SignedHeaders"] == ["host;x-k8s-aws-id"]
    assert asked["X-Amz-Expires"] == ["60"]
