"""Makes a LangGraph project a layer of the image: python -m app.image.project CONTEXT CONFIG TARGET PACKAGES.

app/project.Dockerfile runs it. What it copies to TARGET and installs below PACKAGES is all that the layer holds.
"""

from __future__ import annotations

import compileall
import json
import re
import shutil
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import cast

from app.failures import Exit, Refused
from app.image.dependencies import install, read_dependencies
from app.image.langgraph_keys import check_keys
from app.runtime.project_file import read_project

# What langgraph-cli leaves out too (langgraph_cli/_ignore.py), what `langgraph dev` keeps of runs, and secrets.
LEFT_OUT = ("__pycache__", ".git", ".venv", "venv", "node_modules", ".tox", ".mypy_cache", ".langgraph_api", ".env*")
SECRET_NAME = re.compile(r"(^|_)(KEY|SECRET|TOKEN|PASSWORD)$", re.IGNORECASE)


def main(arguments: list[str]) -> int:
    context, config, target, packages = arguments
    try:
        take_over(Path(context).resolve(), config, Path(target), Path(packages))
    except Refused as refusal:
        sys.stderr.write(f"refused: {refusal}\n")
        return refusal.code
    return Exit.OK


def take_over(context: Path, config: str, target: Path, packages: Path) -> None:
    """The project in `context`, whose langgraph.json is `config`, can be served from `target` with `packages`."""
    content = read_project(context / config, config, setting="CONFIG", place=", relative to the folder that is built")
    for note in check_keys(config, content):
        sys.stderr.write(f"note: {config}: {note}\n")
    dependencies = read_dependencies(context, config, content.get("dependencies", []))
    environment = content.get("env")
    if isinstance(environment, dict):
        _refuse_secrets(config, cast("dict[str, object]", environment))
    private = {
        key: _file(context, config, key, content.pop(key))
        for key in ("env", "pip_config_file")
        if isinstance(content.get(key), str)
    }
    shutil.copytree(context, target, symlinks=True, ignore=_ignoring(set(private.values())), dirs_exist_ok=True)
    # Without the two keys: their files are not here. The variables are the pod's to set.
    (target / config).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    install(target, dependencies, packages, private.get("pip_config_file"))
    for folder in (target, packages):
        compileall.compile_dir(folder, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
        _make_readable(folder)


def _refuse_secrets(config: str, environment: dict[str, object]) -> None:
    for name, value in environment.items():
        if value and SECRET_NAME.search(name):
            raise Refused(
                f"{config}: env.{name}: by its name a secret, and an image shows its files to everybody who may pull it."
                " Give it to the pods, or name a file in env, which is left out."
            )


def _file(context: Path, config: str, key: str, name: str) -> Path:
    file = ((context / config).parent / name).resolve()
    # The env file is often not in the repository at all, and is not needed here.
    if key != "env" and not file.is_file():
        raise Refused(f"{config}: {key}={name!r}: no such file. Correct the path or remove the key.")
    return file


def _ignoring(files: set[Path]) -> Callable[[str, list[str]], set[str]]:
    def ignored(folder: str, names: list[str]) -> set[str]:
        return {
            name for name in names if Path(folder, name) in files or any(fnmatch(name, pattern) for pattern in LEFT_OUT)
        }

    return ignored


def _make_readable(folder: Path) -> None:
    """For the image's user, whatever umask the project was checked out with."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
