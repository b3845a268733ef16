"""The binaries this project uses: one row each, with the ways to come by it. tools/obtain.py does the work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / ".tools"


class Unavailable(Exception):
    """One way did not lead to the tool; the message is the reason in one line."""


@dataclass(frozen=True)
class Release:
    """An official archive. {version}, {system} and {machine} are filled in, also in the member's path."""

    archive: str
    checksums: str  # sha256sum format: "<hex>  <file name>" a line
    member: str  # the binary's path inside the archive
    systems: tuple[str, ...] = ("linux", "darwin")
    machines: tuple[tuple[str, str], ...] = (
        ("x86_64", "x64"),
        ("amd64", "x64"),
        ("aarch64", "arm64"),
        ("arm64", "arm64"),
    )


@dataclass(frozen=True)
class GoBuild:
    """A package of a module that is pinned by a go.mod and go.sum of ours."""

    module: Path
    package: str
    flags: tuple[str, ...] = ()
    wait: str = ""  # how long a cold build takes on two cores
    module_version: str = ""  # where the module does not go by the tool's own


@dataclass(frozen=True)
class DebianPackage:
    """A package of the distribution; its version is the distribution's choice, its signature apt's concern."""

    name: str
    binary: str  # the binary's path inside the package
    suite: str = ""  # of this release of Debian, with all its libraries, where the machine's own has an older one


@dataclass(frozen=True)
class PythonPackage:
    """A command from PyPI, installed with all it needs from a file of pins and hashes."""

    pins: Path
    command: str


@dataclass(frozen=True)
class Tool:
    name: str
    version: str
    version_command: tuple[str, ...]  # empty for a program that does not tell; then none but our own build is taken
    release: Release | None = None
    go: GoBuild | None = None
    debian: tuple[DebianPackage, ...] = ()  # the first that is new enough
    python: PythonPackage | None = None
    same: int = 1  # how many parts of the version must be the pinned ones; the rest may be later


PULUMI = Tool(
    name="pulumi",
    version="3.259.0",  # builds from the Go module proxy, and the Python SDK 3.272 works with it (both run)
    version_command=("version",),
    # Addresses as in Pulumi's own npm launcher (pulumi/pulumi, 2026) and pulumi/actions get-version.ts.
    # The digest comes from the release's own list on the same host: it catches a damaged or truncated
    # transfer, not a compromised host. The Go build needs no such trust: go.sum is committed.
    release=Release(
        archive="https://get.pulumi.com/releases/sdk/pulumi-v{version}-{system}-{machine}.tar.gz",
        checksums="https://get.pulumi.com/releases/sdk/pulumi-{version}-checksums.txt",
        member="pulumi/pulumi",
    ),
    go=GoBuild(
        module=HERE / "pulumi",
        package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        flags=(
            "-tags=osusergo,grpcnotrace",
            "-ldflags=-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{version}",
        ),
        wait="about 5 minutes",
    ),
)

# They judge the alert rules and where alerts go. One go.mod pins both: Prometheus needs Alertmanager's module anyway.
# Archives and checksums as in the two projects' release pages; on the same host, as above.
_PROMETHEUS_MACHINES = (("x86_64", "amd64"), ("amd64", "amd64"), ("aarch64", "arm64"), ("arm64", "arm64"))


def _of_prometheus(project: str, name: str, version: str, tags: str, wait: str, module_version: str = "") -> Tool:
    releases = f"https://github.com/prometheus/{project}/releases/download/v{{version}}"
    folder = f"{project}-{{version}}.{{system}}-{{machine}}"
    return Tool(
        name=name,
        version=version,
        version_command=("--version",),
        release=Release(
            archive=f"{releases}/{folder}.tar.gz",
            checksums=f"{releases}/sha256sums.txt",
            member=f"{folder}/{name}",
            machines=_PROMETHEUS_MACHINES,
        ),
        go=GoBuild(
            module=HERE / "prometheus",
            package=f"github.com/prometheus/{project}/cmd/{name}",
            flags=(f"-tags={tags}", "-ldflags=-s -w -X github.com/prometheus/common/version.Version={version}"),
            wait=wait,
            module_version=module_version,
        ),
    )


# Without the service discoveries and their cloud SDKs, which checking rules does not touch.
PROMTOOL = _of_prometheus("prometheus", "promtool", "3.13.5", "remove_all_sd", "about 4 minutes", "0.313.5")
AMTOOL = _of_prometheus("alertmanager", "amtool", "0.34.2", "netgo", "about 1 minute")

# It judges .github/workflows in make check. Archive names as in the project's .goreleaser.yaml.
ACTIONLINT = Tool(
    name="actionlint",
    version="1.7.12",
    version_command=("-version",),
    release=Release(
        archive="https://github.com/rhysd/actionlint/releases/download/v{version}/actionlint_{version}_{system}_{machine}.tar.gz",
        checksums="https://github.com/rhysd/actionlint/releases/download/v{version}/actionlint_{version}_checksums.txt",
        member="actionlint",
        machines=_PROMETHEUS_MACHINES,
    ),
    go=GoBuild(
        module=HERE / "actionlint",
        package="github.com/rhysd/actionlint/cmd/actionlint",
        flags=("-ldflags=-s -w -X github.com/rhysd/actionlint.version={version}",),
        wait="about 20 seconds",
    ),
)

# It renders charts for tests/cluster. The archive and its checksum as in the project's Makefile.
HELM = Tool(
    name="helm",
    version="4.3.1",
    version_command=("version",),
    release=Release(
        archive="https://get.helm.sh/helm-v{version}-{system}-{machine}.tar.gz",
        checksums="https://get.helm.sh/helm-v{version}-{system}-{machine}.tar.gz.sha256sum",
        member="{system}-{machine}/helm",
        machines=_PROMETHEUS_MACHINES,
    ),
    go=GoBuild(
        module=HERE / "helm",
        package="helm.sh/helm/v4/cmd/helm",
        flags=("-trimpath", "-ldflags=-s -w -X helm.sh/helm/v4/internal/version.version=v{version}"),
        wait="about 3 minutes",
    ),
)

# It judges compose.yaml: Compose's own loader, which has the schema of the Compose Specification inside. No project
# archives are released, and the program does not tell its version.
COMPOSE_SPEC = Tool(
    name="compose-spec",
    version="2.16.2",
    version_command=(),
    go=GoBuild(
        module=HERE / "compose_spec",
        package="github.com/compose-spec/compose-go/v2/cmd",
        flags=("-ldflags=-s -w",),
        wait="about 10 seconds",
    ),
)

# What the service's tests start beside PostgreSQL. The version is that of Debian 12, the oldest that was run.
REDIS = Tool(
    name="redis-server",
    version="7.0.15",
    version_command=("--version",),
    debian=(DebianPackage("redis-server", "usr/bin/redis-server"),),
    same=0,  # publish and subscribe are the same in every version
)
PGBOUNCER = Tool(
    name="pgbouncer",
    version="1.21.0",  # the first that keeps prepared statements in transaction mode; Debian 12 has 1.18
    version_command=("--version",),
    debian=(
        DebianPackage("pgbouncer", "usr/sbin/pgbouncer"),
        DebianPackage("pgbouncer", "usr/sbin/pgbouncer", suite="trixie"),
    ),
)
# It judges compose's nginx.conf, and serves it in a test.
NGINX = Tool(
    name="nginx",
    version="1.22.1",
    version_command=("-v",),
    debian=(DebianPackage("nginx", "usr/sbin/nginx"),),
)

# The control plane of tests/cluster: one module, so that what the programs share is compiled once. The first of them
# takes nearly all of the time.
KUBERNETES_VERSION = "1.36.3"
_KUBERNETES_FLAGS = (
    "-trimpath",
    "-pgo=off",
    "-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=v{version} "
    "-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36",
)
_PLAIN = ("-trimpath", "-ldflags=-s -w")
_ROLLOUTS = "github.com/argoproj/argo-rollouts"
_VPA, VPA_VERSION = "k8s.io/autoscaler/vertical-pod-autoscaler", "1.7.1"


def _control_plane(
    name: str, version: str, package: str, flags: tuple[str, ...] = _KUBERNETES_FLAGS, wait: str = "a minute"
) -> Tool:
    build = GoBuild(HERE / "kubernetes", package, flags, wait)
    tells = () if name.startswith("vpa-") else ("--version",)
    return Tool(name, version, tells, go=build, same=2)  # an object's fields differ between minor versions


CONTROL_PLANE = (
    _control_plane(
        "kube-apiserver", KUBERNETES_VERSION, "k8s.io/kubernetes/cmd/kube-apiserver", wait="about 5 minutes"
    ),
    _control_plane("kube-controller-manager", KUBERNETES_VERSION, "k8s.io/kubernetes/cmd/kube-controller-manager"),
    _control_plane("kube-scheduler", KUBERNETES_VERSION, "k8s.io/kubernetes/cmd/kube-scheduler"),
    _control_plane("etcd", "3.6.14", "go.etcd.io/etcd/server/v3", _PLAIN),
    _control_plane(
        "kwok",
        "0.8.0",
        "sigs.k8s.io/kwok/cmd/kwok",
        ("-trimpath", "-ldflags=-s -w -X sigs.k8s.io/kwok/pkg/consts.Version=v{version}"),
    ),
    _control_plane("vpa-recommender", VPA_VERSION, f"{_VPA}/pkg/recommender", _PLAIN),
    _control_plane("vpa-admission-controller", VPA_VERSION, f"{_VPA}/pkg/admission-controller", _PLAIN),
    _control_plane(
        "rollouts-controller",
        "1.9.1",
        f"{_ROLLOUTS}/cmd/rollouts-controller",
        ("-trimpath", f"-ldflags=-s -w -X {_ROLLOUTS}/utils/version.version={{version}}"),
        wait="about 3 minutes",
    ),
)

# The referee of the policies (tests/policies/test_mutations.py).
CHECKOV = Tool(
    name="checkov",
    version="3.3.30",
    version_command=("--version",),
    python=PythonPackage(pins=HERE.parent / "requirements" / "referee.txt", command="checkov"),
    same=3,
)

TOOLS = {
    tool.name: tool
    for tool in (
        PULUMI,
        PROMTOOL,
        AMTOOL,
        ACTIONLINT,
        HELM,
        COMPOSE_SPEC,
        REDIS,
        PGBOUNCER,
        NGINX,
        CHECKOV,
        *CONTROL_PLANE,
    )
}
