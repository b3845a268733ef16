"""The objects of a cluster on a real API server: server-side apply, a dry run for what would change, waits."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx

from stacks.embedded.cloud import Change, CloudError, differing, under
from stacks.embedded.kubernetes import ALWAYS, IMMUTABLE, RELEASE, Kubernetes
from stacks.embedded.store import Store
from stacks.wire import has_unknown, revealed
from tests.cluster.api import Api, ApiError, Manifest, UnknownKind, without_null
from tests.cluster.custom_resources import of_release
from tests.cluster.readiness import Failed, unready

# The provider's own rule: an API server would take these changes, but running pods would not see them.
REPLACED_BY_PROVIDER = ("ConfigMap", "Secret")
# What the server writes into every object, and what says nothing of what was asked for.
SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid")


class NotReady(Exception):
    """The object exists and does not work: the engine must remember it and say why."""

    def __init__(self, message: str, identifier: str, outputs: Manifest) -> None:
        super().__init__(message)
        self.identifier, self.outputs = identifier, outputs


class ApiServer(Kubernetes):
    """Objects live on the server; releases, whose charts nobody installs here, in the embedded cloud with their CRDs."""

    def __init__(self, store: Store, api: Api, definitions: Path, patience: float) -> None:
        """``patience`` in seconds: pulumi-kubernetes waits ten minutes; here nothing pulls an image."""
        super().__init__(store)
        self.api, self._definitions, self._patience = api, definitions, patience

    def check(
        self, type_: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], seed: bytes
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        if type_ == RELEASE:
            return super().check(type_, urn, old, new, seed)
        missing = [field for field in ("apiVersion", "kind", "metadata") if not new.get(field)]
        return dict(new), [(field, "missing required property") for field in missing]  # the server judges the rest

    def diff(self, type_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
        differences = tuple(differing(revealed(dict(old)), revealed(dict(new))))
        if type_ == RELEASE or not differences:
            return super().diff(type_, old, new)
        kind = str(new.get("kind"))
        fixed = (*ALWAYS, *(IMMUTABLE[kind] if kind in REPLACED_BY_PROVIDER else ()))
        replacing = frozenset(found.path for found in differences if under(found.path, fixed))
        moved = {"metadata.name", "metadata.namespace"} & replacing
        if replacing or has_unknown(new):
            return Change(differences, replacing, bool(replacing) and not moved)
        manifest = _manifest(new)
        try:
            live = self.api.get(manifest)
            if live and _asked_for(live) == _asked_for(self.api.apply(manifest, dry_run=True)):
                return Change(())  # the same to the server: "1000m" and "1"
        except UnknownKind:
            pass
        except ApiError as error:
            if not _says_immutable(error):
                raise _refused(error) from None
            replacing = frozenset(found.path for found in differences if under(found.path, error.fields))
            return Change(differences, replacing or frozenset(found.path for found in differences), delete_first=True)
        return Change(differences)

    def create(self, type_: str, urn: str, inputs: Mapping[str, Any], *, preview: bool) -> tuple[str, dict[str, Any]]:
        if type_ == RELEASE:
            made = super().create(type_, urn, inputs, preview=preview)
            if not preview:
                self._install(revealed(dict(inputs)))
            return made
        if preview:
            if not has_unknown(inputs):
                self._rehearse(_manifest(inputs))
            return "", dict(inputs)
        self._require_cluster()
        manifest = _manifest(inputs)
        with _translated():
            if self.api.get(manifest):
                raise CloudError(f'{manifest["kind"].lower()} "{_identifier(manifest)}" already exists')
            return _identifier(manifest), self._settled(self.api.apply(manifest, force=False))

    def update(
        self, type_: str, identifier: str, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], *, preview: bool
    ) -> dict[str, Any]:
        if type_ == RELEASE:
            return super().update(type_, identifier, urn, old, new, preview=preview)
        if preview and has_unknown(new):
            return dict(new)
        with _translated():
            live = self.api.apply(_manifest(new), force=False, dry_run=preview)
            return live if preview else self._settled(live)

    def read(self, type_: str, identifier: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        if type_ == RELEASE:
            return super().read(type_, identifier)
        _, group, kind = type_.split(":")
        namespace, _, name = identifier.rpartition("/")
        reference = {
            "apiVersion": group.removeprefix("core/"),
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
        }
        with _translated():
            try:
                live = self.api.get(reference)
            except UnknownKind:
                return None
        return (_asked_for(live), _output(live)) if live else None

    def as_written(self, live: Manifest, known: Mapping[str, Any]) -> Manifest:
        """The inputs as the program wrote them when the server has nothing else, or else what it has of them."""
        if "metadata" not in known:
            return live
        try:
            if _asked_for(self.api.apply(_manifest(known), dry_run=True)) == _asked_for(live):
                return dict(known)
        except (ApiError, UnknownKind):
            pass
        return _part(live, revealed(dict(known)))

    def delete(self, type_: str, identifier: str) -> None:
        if type_ == RELEASE:
            self._uninstall(type_, identifier)
            return super().delete(type_, identifier)
        self._require_cluster()
        found = self.read(type_, identifier)
        if found:
            with _translated():
                self.api.delete(found[1], self._patience)
        return None

    def _require_namespace(self, inputs: Mapping[str, Any]) -> None:
        namespace = revealed(inputs.get("namespace"))
        if namespace and not self.api.get({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}):
            raise CloudError(f'namespaces "{namespace}" not found')

    def _rehearse(self, manifest: Manifest) -> None:
        """What the server would say. A namespace or a kind of the same update is not there yet in its preview."""
        try:
            self.api.apply(manifest, dry_run=True)
        except UnknownKind:
            return None
        except ApiError as error:
            if error.code == 404 and "namespaces" in str(error):
                return self._rehearse({**manifest, "metadata": {**manifest["metadata"], "namespace": "default"}})
            if not _says_immutable(error):  # it is there and will be replaced
                raise _refused(error) from None

    def _settled(self, live: Manifest) -> Manifest:
        annotations: dict[str, str] = live["metadata"].get("annotations") or {}
        if annotations.get("pulumi.com/skipAwait") == "true":
            return _output(live)
        deadline = time.monotonic() + float(annotations.get("pulumi.com/timeoutSeconds") or self._patience)
        while True:
            try:
                reason = unready(live, self.api)
            except Failed as failure:
                reason, deadline = str(failure), 0
            if reason is None:
                return _output(live)
            if time.monotonic() > deadline:
                name = _identifier(live)
                raise NotReady(f"{live['kind']} {name} did not become ready: {reason}", name, _output(live))
            time.sleep(0.2)
            live = self.api.get(live) or live

    def _install(self, release: Mapping[str, Any]) -> None:
        with _translated():
            definitions = of_release(self._definitions, release)
            for definition in definitions:
                self.api.apply(definition)
            for definition in definitions:
                self._settled(definition)

    def _uninstall(self, type_: str, identifier: str) -> None:
        """Helm takes back CRDs that are templates, never those of a chart's crds folder."""
        row = self.store.get(type_, identifier, self.place)
        if row is None:
            return
        with _translated():
            for definition in of_release(self._definitions, row.inputs, templates_only=True):
                self.api.delete(definition)


@contextmanager
def _translated() -> Generator[None]:
    """The server's refusals as the cloud's."""
    try:
        yield
    except (ApiError, UnknownKind) as error:
        raise _refused(error) from None
    except httpx.HTTPError as error:
        raise CloudError(f"configured Kubernetes cluster is unreachable: {error}") from None


def _refused(error: ApiError | UnknownKind) -> CloudError:
    return CloudError(str(error))


def _says_immutable(error: ApiError) -> bool:
    """Refused for what it was before, not for what it is now. The server has no reason of its own for that."""
    phrases = ("immutable", "cannot change roleRef", "updates to", "may not change", "may not be changed")
    return error.code == 422 and any(phrase in str(error) for phrase in phrases)


def _manifest(inputs: Mapping[str, Any]) -> Manifest:
    """What is sent: in clear and without nulls, which server-side apply would take for values."""
    return without_null(revealed({key: value for key, value in inputs.items() if key != "__defaults"}))


def _identifier(manifest: Mapping[str, Any]) -> str:
    metadata = manifest["metadata"]
    return "/".join(part for part in (metadata.get("namespace"), metadata["name"]) if part)


def _output(live: Mapping[str, Any]) -> Manifest:
    return {**live, "metadata": {key: value for key, value in live["metadata"].items() if key != "managedFields"}}


def _asked_for(live: Mapping[str, Any]) -> Manifest:
    """An object without what nobody asked for."""
    kept = {key: value for key, value in live.items() if key != "status"}
    return {**kept, "metadata": {key: value for key, value in live["metadata"].items() if key not in SERVERS_OWN}}


def _part(live: Any, known: Any) -> Any:
    """The part of a live value that the program has an opinion about; list entries are paired by name where all have one."""
    if isinstance(live, dict) and isinstance(known, dict):
        return {key: _part(live[key], value) for key, value in cast("dict[str, Any]", known).items() if key in live}
    if isinstance(live, list) and isinstance(known, list):
        there, wanted = cast("list[Any]", live), cast("list[Any]", known)
        if all(isinstance(item, dict) and "name" in item for item in (*there, *wanted)):
            by_name = {item["name"]: item for item in there}
            return [_part(by_name[item["name"]], item) for item in wanted if item["name"] in by_name]
        return [_part(item, want) for item, want in zip(there, wanted, strict=False)] + there[len(wanted) :]
    return cast("Any", live)
