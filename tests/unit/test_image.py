"""make image, with an account in this process and a builder that only writes down what it is asked."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import boto3
import pytest
import yaml

from stacks.bootstrap.registry import REPOSITORY
from stacks.configuration import ROOT, SERVICE
from stacks.image import SOURCES, main, with_image
from stacks.terminal import Exit, Refused
from tests.aws_account import aws_account

DIGEST = f"sha256:{'d' * 64}"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
IMAGE = f"{REGISTRY}/{REPOSITORY}@{DIGEST}"
DOCKER = f"""#!/bin/sh
echo "$@" >> asked
[ "$1" = login ] && cat > password
while [ $# -gt 0 ]; do [ "$1" = --metadata-file ] && echo '{{"containerimage.digest": "{DIGEST}"}}' > "$2"; shift; done
exit 0
"""
BUILDAH = f"""#!/bin/sh
echo "$@" >> asked
[ "$1" = push ] && echo {DIGEST} > "$3"
exit 0
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A commit with the files of the image, and a PATH that has git and nothing that builds."""
    folder, programs = tmp_path / "checkout", tmp_path / "bin"
    programs.mkdir()
    for source in SOURCES:
        place = folder / source
        place.parent.mkdir(parents=True, exist_ok=True)
        (place.mkdir() or place / "__init__.py" if source == "app" else place).write_text("")
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.prod.yaml"):
        shutil.copy(ROOT / name, folder / name)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "test"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    for name in ("git", "sh", "cat"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    return folder


def builder(checkout: Path, name: str, text: str) -> None:
    program = checkout.parent / "bin" / name
    program.write_text(text)
    program.chmod(0o755)


@pytest.fixture
def account() -> Generator[boto3.Session]:
    with aws_account() as session:
        session.client("ecr", region_name="us-east-1").create_repository(repositoryName=REPOSITORY)
        yield session


def image(checkout: Path, stack: str) -> str:
    return yaml.safe_load((checkout / f"Pulumi.{stack}.yaml").read_text())["config"][SERVICE]["image"]


@pytest.mark.parametrize(("name", "text"), [("docker", DOCKER), ("buildah", BUILDAH)])
@pytest.mark.usefixtures("account")
def test_a_commit_is_built_pushed_and_its_digest_written_and_prod_takes_it(
    name: str, text: str, checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    builder(checkout, name, text)
    assert main(["--stack", "dev", "--folder", str(checkout)]) == 0
    assert image(checkout, "dev") == IMAGE
    asked = (checkout / "asked").read_text()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)
    assert f"--platform linux/amd64 --file app/Dockerfile --build-arg REVISION={commit.stdout.strip()}" in asked
    assert f"{REGISTRY}/{REPOSITORY}:{commit.stdout.strip()}" in asked
    (checkout / "asked").unlink()
    assert main(["--stack", "prod", "--folder", str(checkout)]) == 0
    assert image(checkout, "prod") == IMAGE
    assert not (checkout / "asked").exists()
    assert "pulumi up --stack prod" in capfd.readouterr().out


@pytest.mark.usefixtures("account")
def test_the_registrys_password_goes_by_standard_input_only(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    builder(checkout, "docker", DOCKER)
    assert main(["--folder", str(checkout)]) == 0
    password = (checkout / "password").read_text()
    assert password
    assert password not in (checkout / "asked").read_text() + "".join(capfd.readouterr())
    assert base64.b64encode(f"AWS:{password}".encode()).decode() not in (checkout / "asked").read_text()


@pytest.mark.usefixtures("account")
def test_what_stands_in_the_way_is_said_and_nothing_is_written(checkout: Path) -> None:
    before = (checkout / "Pulumi.dev.yaml").read_text()
    with pytest.raises(Refused, match="no docker or buildah on PATH") as refusal:
        main(["--folder", str(checkout)])
    assert refusal.value.code == Exit.MISSING
    with pytest.raises(Refused, match="prod takes what dev ran"):
        main(["--stack", "prod", "--folder", str(checkout)])
    builder(checkout, "docker", "#!/bin/sh\nexit 7\n")
    with pytest.raises(Refused, match="docker login: ended with 7"):
        main(["--folder", str(checkout)])
    (checkout / "app" / "__init__.py").write_text("changed")
    with pytest.raises(Refused, match="Commit them"):
        main(["--folder", str(checkout)])
    assert (checkout / "Pulumi.dev.yaml").read_text() == before


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_only_the_image_changes_and_a_second_one_takes_the_first_ones_place(stack: str) -> None:
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text()
    once = with_image(text, IMAGE, "file")
    assert [line for line in once.splitlines() if line not in text.splitlines()] == [f"    image: {IMAGE}"]
    other = IMAGE.replace("d", "e")
    assert with_image(once, other, "file") == once.replace(IMAGE, other)
    with pytest.raises(Refused, match="not written as a block"):
        with_image(f"config:\n  {SERVICE}: {{api: 1}}\n", IMAGE, "file")
