"""A real Kubernetes control plane as plain processes on 127.0.0.1: etcd, API server, controllers, scheduler, fake nodes."""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.cluster.api import Api, ApiError, until

STAGES = Path(__file__).with_name("kwok_stages.yaml")
# The names by which the API server's own bootstrap policy knows its components; the tests are cluster-admin.
USERS = {
    "admin": ("admin", "system:masters"),
    "controllers": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
}


class ControlPlane:
    """A cluster of its own, ready when entered and gone without a trace when left."""

    def __init__(self, folder: Path, binaries: Mapping[str, Path], controller_flags: tuple[str, ...] = ()) -> None:
        self.folder, self._binaries, self._controller_flags = folder, binaries, controller_flags
        self._ports = free_ports(7)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.api: Api

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "admin.kubeconfig"

    @property
    def definitions(self) -> Path:
        """Where the CustomResourceDefinitions of the pinned versions lie."""
        return self.folder / "definitions"

    @property
    def certificate(self) -> tuple[Path, Path]:
        """The API server's certificate for 127.0.0.1, which is its own authority too, and its key."""
        return self.folder / "pki" / "apiserver.crt", self.folder / "pki" / "apiserver.key"

    def __enter__(self) -> ControlPlane:
        with ExitStack() as undo:
            undo.callback(self._stop)
            self._start()
            undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_node(self, name: str, labels: Mapping[str, str], capacity: Mapping[str, str], **spec: Any) -> None:
        """A node that kwok keeps ready and whose pods it runs in name only."""
        self.api.request(
            "POST",
            "/api/v1/nodes",
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
                "spec": spec,
                "status": {"allocatable": dict(capacity), "capacity": dict(capacity)},
            },
        )

    def nodes_ready(self) -> None:
        """Wait until no node has a taint that it did not ask for."""

        def ready() -> bool:
            nodes = self.api.all("v1", "Node")
            return all(
                any(row["type"] == "Ready" and row["status"] == "True" for row in node["status"].get("conditions", []))
                and not any(taint["key"].startswith("node.kubernetes.io/") for taint in node["spec"].get("taints", []))
                for node in nodes
            )

        until(ready, 60, "all nodes ready")

    def memory(self) -> dict[str, int]:
        """Resident MiB of each process."""
        return {name: _resident(process.pid) for name, process in self._processes.items()}

    def _start(self) -> None:
        clients, peers, server, controllers, scheduler, kwok, kwok_node = self._ports
        self._credentials(server)
        etcd, members = f"http://127.0.0.1:{clients}", f"http://127.0.0.1:{peers}"
        self.run(
            "etcd",
            "--name=only",
            f"--data-dir={self.folder / 'etcd'}",
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={members}",
            f"--initial-advertise-peer-urls={members}",
            f"--initial-cluster=only={members}",
        )
        self.run(
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={server}",
            "--endpoint-reconciler-type=none",
            f"--cert-dir={self.folder / 'pki'}",  # where it makes its own certificate
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.folder / 'accounts.pub'}",
            f"--service-account-signing-key-file={self.folder / 'accounts.key'}",
            "--profiling=false",
        )
        until(self._answers, 90, "API server ready")
        self.api = Api(self.kubeconfig)
        bounded = ("--leader-elect=false", "--bind-address=127.0.0.1", "--kube-api-qps=200", "--kube-api-burst=400")
        self.run(
            "kube-controller-manager",
            f"--kubeconfig={self.folder / 'controllers.kubeconfig'}",
            f"--secure-port={controllers}",
            *bounded,
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self.folder / 'accounts.key'}",
            f"--root-ca-file={self.certificate[0]}",
            *self._controller_flags,
        )
        self.run(
            "kube-scheduler",
            f"--kubeconfig={self.folder / 'scheduler.kubeconfig'}",
            f"--secure-port={scheduler}",
            *bounded,
        )
        self.run(
            "kwok",
            f"--kubeconfig={self.kubeconfig}",
            "--manage-all-nodes=true",
            f"--config={STAGES}",
            "--node-lease-duration-seconds=40",
            f"--server-address=127.0.0.1:{kwok}",
            "--node-ip=127.0.0.1",
            f"--node-port={kwok_node}",
            "--cidr=10.244.0.0/16",
        )
        until(self._has_default_account, 60, "a service account in namespace default")

    def _answers(self) -> bool:
        self._all_alive()
        if not self.certificate[0].exists():
            return False
        try:
            return Api(self.kubeconfig).request("GET", "/readyz") == "ok"
        except (ApiError, httpx.HTTPError, OSError):
            return False

    def _has_default_account(self) -> bool:
        self._all_alive()
        return any(row["metadata"]["name"] == "default" for row in self.api.all("v1", "ServiceAccount", "default"))

    def _all_alive(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                said = (self.folder / f"{name}.log").read_text(errors="replace")[-1500:]
                raise RuntimeError(f"{name} ended with {process.returncode}: {said}")

    def _credentials(self, port: int) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (self.folder / "accounts.key").write_bytes(private)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (self.folder / "accounts.pub").write_bytes(public)
        rows = [f'{user}-token,{name},{user},"{group}"\n' for user, (name, group) in USERS.items()]
        (self.folder / "tokens.csv").write_text("".join(rows))
        for user in USERS:
            config = {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "only",
                "clusters": [
                    {
                        "name": "only",
                        "cluster": {
                            "server": f"https://127.0.0.1:{port}",
                            "certificate-authority": str(self.certificate[0]),
                        },
                    }
                ],
                "users": [{"name": user, "user": {"token": f"{user}-token"}}],
                "contexts": [{"name": "only", "context": {"cluster": "only", "user": user}}],
            }
            (self.folder / f"{user}.kubeconfig").write_text(yaml.safe_dump(config))

    def run(self, name: str, *arguments: str) -> None:
        """Start one of the programs; it ends with the others."""
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [str(self._binaries[name]), *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one call, no locks
            )

    def _stop(self) -> None:
        """End all at once but the store, which the others write to until their end."""
        others = [process for name, process in self._processes.items() if name != "etcd"]
        for process in others:
            process.terminate()
        for process in (*others, *(self._processes[name] for name in self._processes if name == "etcd")):
            process.terminate()
            try:
                process.wait(3)  # the API server would wait a minute for its watches
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_ports(count: int) -> list[int]:
    """Ports that are free now; held together, so that none is given twice."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _end_with_parent() -> None:
    """A test run that is killed leaves no process (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _resident(pid: int) -> int:
    lines: Iterator[str] = iter(Path(f"/proc/{pid}/status").read_text().splitlines())
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))
