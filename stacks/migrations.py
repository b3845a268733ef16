"""The image's newest migration against the database's.

A migrate Job is named by its image and stands until another takes its place (infra/kubernetes/jobs.py), so it tells
what the database has; an image is tagged with the commit that it was built of, so git tells its migrations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from app.runtime.schema import our_migrations
from infra.kubernetes.labels import COMPONENT, MIGRATE_LABELS
from infra.settings import Settings
from stacks.account import Account
from stacks.cluster_api import ask, open_cluster
from stacks.findings import FAIL, PASS, UNSEEN, WARN, Finding
from stacks.review.base import commit_of, files_at
from stacks.terminal import Refused

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

_COMMIT = re.compile(r"[0-9a-f]{40}")
_FOLDER = "app/migrations"


@dataclass(frozen=True)
class Job:
    """One migrate Job: whose image it ran, and whether it ended (Complete, Failed) or not yet (empty)."""

    image: str
    ended: str


@dataclass(frozen=True)
class Schema:
    """What code brings a database to, and the oldest code that works on the result."""

    newest: int
    compatible_from: int


def look(account: Account, settings: Settings) -> Finding:
    """The same for the environment's image, as far as its cluster and its registry can be asked."""
    image = settings.service.image
    if image is None:
        return _told(PASS, "service.image is not set: nothing migrates")
    try:
        cluster = open_cluster(account, settings.name)
        if cluster is None:
            return _told(PASS, "there is no cluster yet: the first up runs every migration")
        with cluster:
            jobs = jobs_of(cluster, settings.service.namespace)
    except Refused as refusal:
        return _told(UNSEEN, str(refusal))
    ecr = account.session.client("ecr")
    return judged(image, jobs, lambda found: schema_of(ecr, found))


def jobs_of(cluster: httpx.Client, namespace: str) -> list[Job]:
    """The migrate Jobs that stand. Raises Refused when the API cannot be asked."""
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    found = ask(cluster, path, labelSelector=f"{COMPONENT}={MIGRATE_LABELS[COMPONENT]}")
    return [_job(item) for item in found["items"]]


def schema_of(ecr: ECRClient, image: str) -> Schema | None:
    """The schema of an image's code; None where its commit is not known, or not here."""
    name, _, digest = image.partition("@")
    try:
        found = ecr.describe_images(repositoryName=name.partition("/")[2], imageIds=[{"imageDigest": digest}])
    except (ecr.exceptions.ImageNotFoundException, ecr.exceptions.RepositoryNotFoundException):
        return None
    tags = [tag for row in found["imageDetails"] for tag in row.get("imageTags", []) if _COMMIT.fullmatch(tag)]
    try:
        return schema_at(tags[0]) if tags else None
    except Refused:
        return None


def schema_at(commit: str) -> Schema:
    """The schema of a commit's code. Raises Refused for a commit that is not here, or has no migrations."""
    with files_at(commit_of(commit), _FOLDER) as folder:
        rows = our_migrations(folder / _FOLDER)
    return Schema(max(row.version for row in rows), max(row.compatible_from for row in rows))


def judged(image: str, jobs: Sequence[Job], schema: Callable[[str], Schema | None]) -> Finding:
    """What the next up would do to the database, and whether both versions of the code can live with it."""
    for job in jobs:
        if job.image == image and job.ended != "Complete":
            said = "failed" if job.ended else "is running"
            return _told(
                FAIL if job.ended else WARN, f"migrate {said} with this image: docs/runbooks/AgentJobFailed.md"
            )
    done = [job.image for job in jobs if job.ended == "Complete"]
    if image in done:
        return _told(PASS, "this image's migrations have run")
    if not done:
        return (
            _told(UNSEEN, "no migrate Job ended well: what the database has is not known")
            if jobs
            else _told(PASS, "nothing has migrated yet: the first up runs every migration")
        )
    has, brings = schema(done[0]), schema(image)
    if has is None or brings is None:
        return _told(
            UNSEEN, f"of which commit {image if has else done[0]} is cannot be told here. Fetch it, then ask again."
        )
    if has.compatible_from > brings.newest:
        what = f"the database needs code of schema {has.compatible_from}, service.image is of {brings.newest}"
        return _told(FAIL, f"{what}. Take a newer image, or restore a backup.")
    if brings.compatible_from > has.newest:
        what = f"schema {brings.newest} needs code of {brings.compatible_from}, what runs is of {has.newest}"
        return _told(FAIL, f"{what} and would fail during the rollout. Deploy a version between first.")
    if brings.newest > has.newest:
        return _told(PASS, f"the next up brings the database from schema {has.newest} to {brings.newest}")
    return _told(PASS, f"the database has schema {has.newest}, which is all that this image needs")


def _told(status: str, detail: str) -> Finding:
    return Finding("migrations", status, detail)


def _job(item: Mapping[str, Any]) -> Job:
    conditions: list[dict[str, str]] = item.get("status", {}).get("conditions") or []
    ended = {row["type"] for row in conditions if row["status"] == "True"} & {"Complete", "Failed"}
    return Job(item["spec"]["template"]["spec"]["containers"][0]["image"], next(iter(ended), ""))
