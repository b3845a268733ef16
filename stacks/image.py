"""`make image`: the service's image built from a commit and pushed, its digest written into Pulumi.<stack>.yaml.

Production builds nothing: it takes the digest that Pulumi.dev.yaml has.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from botocore.exceptions import ClientError

from stacks.account import CONFIG, Account, absent, aws_errors, open_account
from stacks.bootstrap.registry import REPOSITORY
from stacks.configuration import ROOT, SERVICE, read_settings
from stacks.terminal import Exit, Refused, console, run_command

if TYPE_CHECKING:  # stubs: for the type checker only
    from mypy_boto3_ecr.client import ECRClient

SOURCES = ("app", "langgraph.json", "requirements/app.txt")  # what app/Dockerfile copies
PLATFORM = "linux/amd64"  # of the node pools
BUILDERS = ("docker", "buildah")


def main(arguments: list[str]) -> int:
    """Build and push the image of this commit, or take dev's for prod, and write its digest into the settings."""
    parser = argparse.ArgumentParser(prog="python -m stacks.image", description=main.__doc__)
    parser.add_argument("--stack", default="dev", help="which Pulumi.<stack>.yaml (default: dev)")
    parser.add_argument("--profile", help="AWS profile")
    parser.add_argument("--folder", type=Path, default=ROOT, help="the checkout (default: this one)")
    chosen = parser.parse_args(arguments)
    folder: Path = chosen.folder
    settings = read_settings(chosen.stack, folder)
    if settings.environment == "prod":
        image = read_settings("dev", folder).service.image
        if image is None:
            raise Refused("service.image (Pulumi.dev.yaml): absent, and prod takes what dev ran. Run make image first.")
    else:
        revision = _revision(folder)
        builder = _builder()
        account = open_account(settings, chosen.stack, chosen.profile)
        image = _pushed(account, folder, revision, builder)
    file = folder / f"Pulumi.{chosen.stack}.yaml"
    file.write_text(with_image(file.read_text(), image, file.name))
    console.print(f"{file.name}: service.image is {image}", soft_wrap=True)
    console.print(f"Next: pulumi up --stack {chosen.stack}")
    return Exit.OK


def with_image(text: str, image: str, name: str) -> str:
    """A stack's file with service.image set and everything else, comments too, as it was."""
    block = rf"(?m)^(?P<key>  {re.escape(SERVICE)}: *(?:#[^\n]*)?\n)(?P<body>(?:(?:    [^\n]*| *(?:#[^\n]*)?)\n)*)"

    def changed(found: re.Match[str]) -> str:
        kept = re.sub(r"(?m)^    image:[^\n]*\n", "", found["body"])
        return f"{found['key']}    image: {image}\n{kept}"

    written = re.sub(block, changed, text, count=1)
    before, after = yaml.safe_load(text), yaml.safe_load(written)
    before["config"].setdefault(SERVICE, {})["image"] = image
    if before != after:
        raise Refused(f"{name}: {SERVICE} is not written as a block of lines. Set its image: {image}.", Exit.STATE)
    return written


def _pushed(account: Account, folder: Path, revision: str, builder: str) -> str:
    registry = f"{account.id}.dkr.ecr.{account.region}.amazonaws.com"
    ecr = account.session.client("ecr", config=CONFIG)
    with aws_errors(f"asking ECR for {REPOSITORY}"):
        digest = _digest(ecr, revision)
        token = "" if digest else ecr.get_authorization_token()["authorizationData"][0].get("authorizationToken", "")
    if digest:
        console.print(f"commit {revision} was pushed before: its image is taken")
    else:
        _run([builder, "login", "--username", "AWS", "--password-stdin", registry], folder, _password(token))
        digest = _build(builder, f"{registry}/{REPOSITORY}:{revision}", folder, revision)
    return f"{registry}/{REPOSITORY}@{digest}"


def _digest(ecr: ECRClient, tag: str) -> str | None:
    """What a tag means; tags of the repository are immutable, so a second push of one is refused."""
    try:
        found = ecr.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": tag}])["imageDetails"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "RepositoryNotFoundException":
            raise Refused(
                f"{REPOSITORY}: ECR has no such repository. Run python -m stacks.bootstrap.", Exit.MISSING
            ) from None
        absent(error, "ImageNotFoundException")
        return None
    return found[0].get("imageDigest")


def _build(builder: str, tag: str, folder: Path, revision: str) -> str:
    with tempfile.TemporaryDirectory() as place:
        answer = Path(place) / "answer"
        what = ["--platform", PLATFORM, "--file", "app/Dockerfile", "--build-arg", f"REVISION={revision}"]
        if builder == "docker":
            _run(
                ["docker", "buildx", "build", *what, "--push", "--metadata-file", str(answer), "--tag", tag, "."],
                folder,
            )
            digest = str(json.loads(answer.read_text())["containerimage.digest"])
        else:
            _run(["buildah", "build", *what, "--tag", tag, "."], folder)
            _run(["buildah", "push", "--digestfile", str(answer), tag], folder)
            digest = answer.read_text().strip()
    return digest


def _password(token: str) -> str:
    """The token is ``AWS:password`` in base 64 (ECR API reference, AuthorizationData)."""
    return base64.b64decode(token).decode().partition(":")[2]


def _revision(folder: Path) -> str:
    if _run(["git", "status", "--porcelain", "--", *SOURCES], folder, shown=False):
        raise Refused(
            f"{', '.join(SOURCES)}: have changes that no commit has, and an image is named by its commit. Commit them."
        )
    return _run(["git", "rev-parse", "HEAD"], folder, shown=False).strip()


def _builder() -> str:
    found = next((name for name in BUILDERS if shutil.which(name)), None)
    if found is None:
        raise Refused(f"no {' or '.join(BUILDERS)} on PATH: an image cannot be built here. Install one.", Exit.MISSING)
    return found


def _run(command: list[str], folder: Path, stdin: str = "", *, shown: bool = True) -> str:
    done = subprocess.run(
        command, cwd=folder, input=stdin, stdout=None if shown else subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise Refused(f"{' '.join(command[:2])}: ended with {done.returncode}; see its words above.", Exit.FAILED)
    return done.stdout or ""


if __name__ == "__main__":
    sys.exit(run_command(main))
