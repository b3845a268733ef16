"""A stack's configuration as the engine hands it to the program: flat keys, objects as JSON text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from infra.problems import SettingsError
from infra.settings import PROJECT, Settings, load
from stacks.terminal import Refused

ROOT = Path(__file__).resolve().parent.parent
SERVICE = f"{PROJECT}:service"


def known_stacks(root: Path = ROOT) -> list[str]:
    """The stacks that have a configuration file, by name."""
    return sorted(path.name.split(".")[1] for path in root.glob("Pulumi.*.yaml"))


def read_stack(stack: str, root: Path = ROOT) -> dict[str, str]:
    """The flat configuration of Pulumi.<stack>.yaml over the defaults of Pulumi.yaml.

    Raises Refused for an unknown stack or a file that is not YAML.
    """
    path = root / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        raise Refused(f"stack={stack}: there is no {path.name}. Known stacks: {', '.join(known_stacks(root))}.")
    try:
        declared: Any = yaml.safe_load((root / "Pulumi.yaml").read_text())
        chosen: Any = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise Refused(f"{path.name}: not valid YAML: {error}. Correct the file.") from None
    if not isinstance(chosen, dict):
        raise Refused(f"{path.name}: must be a mapping with the key config. Pulumi.dev.yaml shows one.")
    defaults = {key: row["default"] for key, row in declared.get("config", {}).items() if "default" in row}
    config: dict[str, Any] = {**defaults, **(cast("dict[str, Any]", chosen).get("config") or {})}
    return {key: _flat(value) for key, value in config.items()}


def read_settings(stack: str, root: Path = ROOT) -> Settings:
    """The validated settings of a stack. Raises Refused with every problem found."""
    return settings_of(read_stack(stack, root), f"Pulumi.{stack}.yaml")


def settings_of(config: Mapping[str, str], source: str) -> Settings:
    """Settings from a flat configuration; ``source`` names it in the refusal."""
    try:
        return load(config)
    except SettingsError as error:
        count = len(error.problems)
        raise Refused(f"{source} has {count} problem{'s' if count > 1 else ''}:\n{error}") from None


def with_checkout_image(config: Mapping[str, str], root: Path = ROOT) -> tuple[dict[str, str], bool]:
    """The configuration with a stand-in image where none is set, and whether it was put in.

    The stand-in names this checkout's app/ by its content and a registry that cannot exist (RFC 2606), so that
    previews and the embedded cloud show the service too; it can never be pulled.
    """
    service: dict[str, Any] = json.loads(config.get(SERVICE, "{}"))
    if service.get("image"):
        return dict(config), False
    image = f"checkout.invalid/langgraph-agents@sha256:{_digest_of(root / 'app', root)}"
    return {**config, SERVICE: json.dumps({**service, "image": image})}, True


def _digest_of(folder: Path, root: Path) -> str:
    """A digest over names and contents of the files below a folder, compiled ones apart."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value
    # A date without quotes becomes a date in YAML: the engine passes it on as text too.
    return json.dumps(value, default=str)
