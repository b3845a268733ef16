"""No command on the embedded cloud sees a credential, leaves a trace in the checkout, or has a way to an account."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks.embedded.engine import stack_outputs
from tests.engine.running import PROJECT, cloud_of

pytestmark = pytest.mark.engine
# What the engine itself adds to the program's environment.
BY_THE_ENGINE = {"PWD", "PULUMI_LOG_OTLP_ENDPOINT"}


def test_the_program_sees_nothing_of_the_callers_environment(
    tmp_path: Path, pulumi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home of the caller"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text("[production]\naws_secret_access_key = s3cr3t\n")
    for name, value in {
        "HOME": str(home),
        "AWS_PROFILE": "production",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
        "KUBECONFIG": str(home / ".kube" / "config"),
        "PULUMI_ACCESS_TOKEN": "pul-s3cr3t",
        "PULUMI_BACKEND_URL": "https://api.pulumi.com",
        "https_proxy": "http://proxy.example.com",
        "PYTHONSTARTUP": str(home / "s3cr3t.py"),
    }.items():
        monkeypatch.setenv(name, value)
    before = {path: path.read_bytes() for path in PROJECT.rglob("*.*") if path.suffix != ".pyc"}

    cloud = cloud_of(tmp_path / "cloud", pulumi, showEnvironment="true")
    cloud.must_up()
    seen = stack_outputs(cloud.workspace)["environment"]
    assert set(seen) - BY_THE_ENGINE == {
        "AWS_EC2_METADATA_DISABLED",
        "EMBEDDED_CLOUD_STORE",
        "HOME",
        "LANG",
        "PATH",
        "PULUMI_BACKEND_URL",
        "PULUMI_CONFIG_PASSPHRASE_FILE",
        "PULUMI_DEBUG_COMMANDS",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION",
        "PULUMI_HOME",
        "PULUMI_SKIP_CONFIRMATIONS",
        "PULUMI_SKIP_UPDATE_CHECK",
        "PULUMI_STACK",
        "PYTHONPATH",
        "PYTHONSAFEPATH",
        "PYTHONUNBUFFERED",
        "TMPDIR",
    }
    assert "s3cr3t" not in str(seen)
    assert Path(seen["HOME"]).is_relative_to(cloud.workspace.directory)
    assert seen["PULUMI_BACKEND_URL"].startswith("file://")
    assert {path: path.read_bytes() for path in PROJECT.rglob("*.*") if path.suffix != ".pyc"} == before


def test_providers_of_the_machine_are_never_taken(tmp_path: Path, pulumi: Path) -> None:
    # A real provider on PATH or among the engine's plugins would want an account; ours are named in the project file.
    cloud = cloud_of(tmp_path, pulumi, {"type": "aws:sqs/queue:Queue", "name": "queue", "inputs": {}})
    elsewhere = cloud.workspace.directory / "home" / "plugins" / "resource-aws-v99.0.0"
    elsewhere.mkdir(parents=True)
    impostor = elsewhere / "pulumi-resource-aws"
    impostor.write_text("#!/bin/sh\necho I am the real one >&2\nexit 1\n")
    impostor.chmod(0o755)
    cloud.must_up()
    assert cloud.stored("queue").id.startswith("https://sqs.us-east-1.amazonaws.com/123456789012/queue-")
