"""A Kubernetes API server by its REST interface: what the stand-in provider and the tests ask of it."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import yaml

Manifest = dict[str, Any]
MANAGER = "pulumi-kubernetes"
_Found = TypeVar("_Found")


class ApiError(Exception):
    """An answer that is a refusal, in the server's words."""

    def __init__(self, code: int, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code, self.fields = code, fields


class UnknownKind(Exception):
    """The server has no such kind: its CustomResourceDefinition is not there (yet)."""


class Api:
    """One server, as one user. Safe for many threads."""

    def __init__(self, kubeconfig: Path, token: str | None = None) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self.url: str = cluster["server"]
        self._client = httpx.Client(
            base_url=self.url,
            verify=ssl.create_default_context(cafile=cluster["certificate-authority"]),
            headers={"Authorization": f"Bearer {token or config['users'][0]['user']['token']}"},
            timeout=60,
            trust_env=False,
        )
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    def request(self, method: str, path: str, body: Any = None, content_type: str = "", **parameters: str) -> Any:
        """The answer's JSON. Raises ApiError for a refusal."""
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type or "application/json"}
        answer = self._client.request(method, path, content=content, headers=headers, params=parameters)
        if answer.status_code >= 400:
            raise _refusal(answer)
        return answer.json() if "json" in answer.headers.get("Content-Type", "") else answer.text

    def path(self, manifest: Mapping[str, Any]) -> str:
        """The address of an object. Raises UnknownKind."""
        metadata = manifest["metadata"]
        namespace = metadata.get("namespace") or "default"
        return f"{self.collection(manifest['apiVersion'], manifest['kind'], namespace)}/{metadata['name']}"

    def collection(self, version: str, kind: str, namespace: str | None = None) -> str:
        """The address of a kind's objects, of all namespaces unless one is given. Raises UnknownKind."""
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self._kinds:
            resources: list[dict[str, Any]] = []
            try:
                resources = self.request("GET", base)["resources"]
            except ApiError as error:
                if error.code != 404:
                    raise
            for row in resources:
                if "/" not in row["name"]:
                    self._kinds[version, row["kind"]] = (row["name"], row["namespaced"])
        if (version, kind) not in self._kinds:
            raise UnknownKind(f'no matches for kind "{kind}" in version "{version}"')
        plural, namespaced = self._kinds[version, kind]
        return f"{base}/namespaces/{namespace}/{plural}" if namespaced and namespace else f"{base}/{plural}"

    def get(self, manifest: Mapping[str, Any]) -> Manifest | None:
        """What the server has of an object, or None."""
        try:
            return self.request("GET", self.path(manifest))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def one(self, version: str, kind: str, name: str, namespace: str = "") -> Manifest:
        """An object that must be there. Raises ApiError."""
        reference = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
        return self.request("GET", self.path(reference))

    def all(self, version: str, kind: str, namespace: str | None = None, **parameters: str) -> list[Manifest]:
        """The objects of a kind, each with version and kind, which a list leaves out."""
        found = self.request("GET", self.collection(version, kind, namespace), **parameters)["items"]
        return [{"apiVersion": version, "kind": kind, **row} for row in found]

    def apply(
        self, manifest: Mapping[str, Any], *, dry_run: bool = False, force: bool = True, manager: str = MANAGER
    ) -> Manifest:
        """Server-side apply, with every unknown field refused."""
        parameters = {"fieldManager": manager, "fieldValidation": "Strict", "force": str(force).lower()}
        if dry_run:
            parameters["dryRun"] = "All"
        return self.request("PATCH", self.path(manifest), manifest, "application/apply-patch+yaml", **parameters)

    def merge(self, manifest: Mapping[str, Any], change: Mapping[str, Any], subresource: str = "") -> Manifest:
        """Change parts of an object, as a person with kubectl would."""
        return self.request("PATCH", self.path(manifest) + subresource, change, "application/merge-patch+json")

    def delete(self, manifest: Mapping[str, Any], seconds: float = 60) -> None:
        """Delete an object and wait until it is gone. Raises ApiError with what holds it after some seconds."""
        live = self.get(manifest)
        if live is None:
            return
        uid = live["metadata"]["uid"]
        options = {"propagationPolicy": "Foreground", "preconditions": {"uid": uid}}
        self.request("DELETE", self.path(manifest), options)
        deadline = time.monotonic() + seconds
        while (live := self.get(manifest)) and live["metadata"]["uid"] == uid:
            if time.monotonic() > deadline:
                reasons = [row.get("message") for row in live.get("status", {}).get("conditions", [])]
                held = f"finalizers {live['metadata'].get('finalizers')}; {reasons}"
                raise ApiError(504, f"{manifest['kind']} {manifest['metadata']['name']} is still there: {held}")
            time.sleep(0.1)


def until(ask: Callable[[], _Found | None], seconds: float, what: str) -> _Found:
    """The first answer that is true. Raises TimeoutError, which says what was waited for and the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        found = ask()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s, last {found!r}")
        time.sleep(0.1)


def without_null(value: Any) -> Any:
    """What is sent: server-side apply takes a null for a value."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: without_null(item) for key, item in items if item is not None}
    return [without_null(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _refusal(answer: httpx.Response) -> ApiError:
    try:
        status: Any = answer.json()
    except ValueError:
        return ApiError(answer.status_code, answer.text[:500])
    details: dict[str, Any] = status.get("details") or {}
    causes: list[dict[str, str]] = details.get("causes") or []
    fields = tuple(cause.get("field", "") for cause in causes)
    return ApiError(answer.status_code, status.get("message") or str(status), fields)
