"""Installs what `dependencies` of a langgraph.json names beside the service's packages, and never in their place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import cast

from app.failures import Exit, Refused

PACKAGE_FILES = ("pyproject.toml", "setup.py")
CREDENTIALS = re.compile(r"https?://[^/\s\"'@]+@")


@dataclass(frozen=True)
class Dependencies:
    """Folders, relative to the one that is built, and requirements as pip reads them."""

    folders: tuple[Path, ...]
    requirements: tuple[str, ...]


def read_dependencies(context: Path, config: str, named: object) -> Dependencies:
    if not isinstance(named, list):
        raise Refused(f'{config}: dependencies={named!r}: has to be a list, such as ["."].')
    folders: list[Path] = []
    requirements: list[str] = []
    for dependency in cast("list[object]", named):
        if not isinstance(dependency, str) or not dependency or dependency.startswith("-"):
            raise Refused(f"{config}: dependencies: {dependency!r} is neither a folder nor a package. Correct it.")
        if dependency.startswith("."):
            folders.append(_folder(context, config, dependency))
        elif CREDENTIALS.search(dependency):
            raise Refused(f"{config}: dependencies: {_without_credentials('an address')}")
        else:
            requirements.append(dependency)
    return Dependencies(tuple(folders), tuple(requirements))


def install(root: Path, dependencies: Dependencies, prefix: Path, pip_config: Path | None) -> None:
    """Below `prefix`, what the environment lacks; pip refuses whatever would change one of the service's packages."""
    prefix.mkdir(parents=True, exist_ok=True)
    packages = [folder for folder in dependencies.folders if _is_package(root / folder)]
    lists = [folder / "requirements.txt" for folder in dependencies.folders if folder not in packages]
    # Apart: a list with hashes makes pip ask for them everywhere in the same call.
    for requirements in lists:
        if (root / requirements).is_file():
            _pip(["--requirement", str(requirements)], root, prefix, pip_config)
    # Editable, as LangGraph's own build does: a graph named by its path and one imported stay the same module.
    editable = [part for folder in packages for part in ("--editable", f"./{folder}")]
    if editable or dependencies.requirements:
        _pip([*editable, *dependencies.requirements], root, prefix, pip_config)


def _folder(context: Path, config: str, dependency: str) -> Path:
    folder = ((context / config).parent / dependency).resolve()
    if not folder.is_relative_to(context):
        raise Refused(
            f"{config}: dependencies: {dependency!r} lies outside the folder that is built."
            " Build a folder that holds both, with --build-arg CONFIG=path/to/langgraph.json."
        )
    if not folder.is_dir():
        raise Refused(f"{config}: dependencies: {dependency!r} is not a directory. Correct the path.")
    for name in (*PACKAGE_FILES, "setup.cfg", "requirements.txt"):
        file = folder / name
        if file.is_file() and CREDENTIALS.search(file.read_text(encoding="utf-8", errors="replace")):
            raise Refused(f"{config}: dependencies: {_without_credentials(str(file.relative_to(context)))}")
    return folder.relative_to(context)


def _without_credentials(what: str) -> str:
    return (
        f"{what} holds credentials, which an image keeps and shows to everybody who may pull it."
        " Write the address without them, and give them in a pip.conf: --secret id=pip,src=pip.conf."
    )


def _is_package(folder: Path) -> bool:
    return any((folder / name).is_file() for name in PACKAGE_FILES)


def _pip(what: list[str], root: Path, prefix: Path, pip_config: Path | None) -> None:
    site = sysconfig.get_path("purelib", vars={"base": str(prefix)})
    search_path = [site, *sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (site, os.environ.get("PYTHONPATH"))))}
    if pip_config:
        environment["PIP_CONFIG_FILE"] = str(pip_config)
    with NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.writelines(f"{own.name}=={own.version}\n" for own in metadata.distributions(path=search_path))
        constraints.flush()
        options = [
            "--prefix",
            str(prefix),
            "--constraint",
            constraints.name,
            "--no-compile",
            "--no-warn-script-location",
        ]
        quiet = ["--disable-pip-version-check", "--root-user-action=ignore"]
        command = ["pip", "--python", sys.executable, "install", *quiet, *options, *what]
        try:
            code = subprocess.run(command, cwd=root, env=environment, check=False).returncode
        except FileNotFoundError:
            raise Refused(
                "there is no pip on PATH. Build from the service image, or from one that is FROM it.", Exit.MISSING
            ) from None
    if code != 0:
        raise Refused(
            "dependencies: pip could not install them beside the service's own packages; its reason is above."
            " A version that differs from the service's has to give way.",
            Exit.FAILED,
        )
