"""Which keys of a langgraph.json this service honours; the others are refused: to ignore one would be to lie about it.

The keys are those of langgraph-cli 0.4.40, langgraph_cli/schemas.py.
"""

from __future__ import annotations

import difflib
import platform
import sys
from collections.abc import Collection, Mapping

from app.failures import Refused

HONOURED = frozenset(
    {
        "$schema",
        "dependencies",
        "env",
        "graphs",
        "image_distro",
        "keep_pkg_tools",
        "pip_config_file",
        "pip_installer",
        "python_version",
        "store",
        "webhooks",
    }
)

OWN_BASE = "Write a Dockerfile that is FROM the service image, and give its image as --build-arg SERVICE"
NOT_HERE = "Remove the key if the graphs can do without it"

REFUSED: Mapping[str, tuple[str, str]] = {
    "auth": ("this service would leave the graphs open to everybody", "Put authentication in front, then remove it"),
    "base_image": ("the project becomes a layer on this service's image, not on LangGraph's", OWN_BASE),
    "checkpointer": ("checkpoints are kept by the service itself, in PostgreSQL", NOT_HERE),
    "dockerfile_lines": ("a layer cannot run before its base", f"{OWN_BASE}, with these lines in it"),
    "encryption": ("this service does not call a project's own encryption", NOT_HERE),
    "http": ("a project's own routes, middleware and CORS rules are not served", NOT_HERE),
    "node_version": ("graphs in JavaScript are not served", "Serve them with LangGraph's own server"),
    "priority": ("a run's priority is said by its request", NOT_HERE),
    "source": ("uv projects are not read", 'Name the project in dependencies, as ["."], in place of source'),
    "ui": ("components for a browser are not served", NOT_HERE),
    "ui_config": ("components for a browser are not served", NOT_HERE),
}
"""Key → why not, and what to do instead."""

IGNORED = frozenset({"_INTERNAL_docker_tag", "api_version"})
"""They choose a version of LangGraph's own server."""


SERVED_OTHERWISE = frozenset({"auth", "checkpointer", "encryption", "http"})
"""Keys whose absence changes what a client meets; the others say how an image is built."""


def refuse_unserved(file: str, content: Mapping[str, object]) -> None:
    """For a start without an image: refuses what would be served differently from what the file says."""
    _refuse(file, content, SERVED_OTHERWISE)


def _refuse(file: str, content: Mapping[str, object], keys: Collection[str]) -> None:
    for key, (reason, remedy) in REFUSED.items():
        if key in keys and content.get(key):
            raise Refused(f"{file}: {key}: {reason}. {remedy}.")


def check_keys(file: str, content: Mapping[str, object]) -> list[str]:
    """Refuses what would be served differently from what the file says; returns what people should know."""
    _refuse(file, content, REFUSED)
    _check_python(file, content.get("python_version"))
    _check_distribution(file, content.get("image_distro"))
    if content.get("pip_installer") not in {None, "auto", "pip"}:
        raise Refused(f"{file}: pip_installer={content['pip_installer']!r}: this image installs with pip. Set pip.")
    if content.get("keep_pkg_tools"):
        raise Refused(f"{file}: keep_pkg_tools: the graphs' environment has no packaging tools. Remove the key.")
    notes = [f"{key} chooses LangGraph's own server and changes nothing here" for key in IGNORED & content.keys()]
    known = HONOURED | REFUSED.keys() | IGNORED
    for key in sorted(content.keys() - known):
        near = difflib.get_close_matches(key, known, n=1)
        notes.append(f"{key} is not a key of langgraph.json" + (f"; did you mean {near[0]}?" if near else ""))
    return notes


def _check_python(file: str, wanted: object) -> None:
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if wanted is not None and str(wanted).partition("-")[0] != running:
        raise Refused(
            f"{file}: python_version={wanted!r}: this image runs Python {running}."
            f" Build the service image with --build-arg BASE=python:{wanted}-slim, or change the key."
        )


def _check_distribution(file: str, wanted: object) -> None:
    if wanted is None:
        return
    running = platform.freedesktop_os_release()
    names = {running.get("ID"), running.get("VERSION_CODENAME")}
    if wanted not in names:
        raise Refused(
            f"{file}: image_distro={wanted!r}: this image is {running.get('PRETTY_NAME', 'of another distribution')}."
            " Build the service image with a --build-arg BASE of that distribution, or remove the key."
        )
