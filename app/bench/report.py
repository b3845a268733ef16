"""The figures as tables, and the aims. A ratio compares neighbours of one repeat: it outlives a changing machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.bench.levels import Level
from app.bench.targets import Kind

COLUMNS: dict[str, dict[str, str]] = {
    "wait": {"runs/s": "runs_per_second", "p50 ms": "p50_ms", "p95": "p95_ms", "p99": "p99_ms"},
    "stream": {
        "runs/s": "runs_per_second",
        "first event ms": "first_event_p50_ms",
        "first values": "first_values_p50_ms",
        "end p50": "p50_ms",
        "end p99": "p99_ms",
    },
}
COMMON = {
    "CPU ms": "server_cpu_ms",
    "PostgreSQL": "postgres_cpu_ms",
    "checkpoint rows": "checkpoint_rows",
    "event": "event_rows",
    "other": "other_rows",
    "bytes": "database_bytes",
    "MiB": "resident_mib",
    "loop ms": "fixed_loop_ms",
    "load": "load_average",
    "cores busy %": "machine_busy",
}
SPEED, CPU, WAIT, FIRST = "runs_per_second", "server_cpu_ms", "p50_ms", "first_event_p50_ms"
PEERS = ("aegra", "aegra, Redis", "langhost")


@dataclass(frozen=True)
class Aim:
    """A figure of a target, or its ratio to the best of others at the same moment; a bound below or above."""

    figure: str
    kind: Kind
    clients: int
    bound: float
    target: str = "ours"
    others: tuple[str, ...] = ()

    @property
    def at_least(self) -> bool:
        return self.figure == SPEED

    def value(self, levels: Iterable[Level]) -> float | None:
        here = {level.target: level.figures[self.figure] for level in levels}
        found = here.get(self.target)
        if found is None or not self.others:
            return found
        best = max((here.get(name) or 0 for name in self.others), default=0)  # of CPU there is one other only
        return found / best if best else None


AIMS = (
    Aim(SPEED, "wait", 64, 2.5, others=PEERS),
    Aim(SPEED, "wait", 64, 1.0, others=("plain",)),
    Aim(SPEED, "wait", 64, 1.0, "ours, async", ("plain, async",)),
    Aim(SPEED, "wait", 64, 1.5, "ours, exit", ("plain",)),
    Aim(SPEED, "wait", 64, 1.6, "ours, 2 processes", ("ours",)),
    # Where load, PostgreSQL and one process fill the cores already (last column), a second has little to run on. These
    # tell what it does with cores of its own: each process has as much as the other, and a run costs no more.
    Aim(SPEED, "wait", 64, 1.6, "ours, 2 processes, limited", ("ours, limited",)),
    Aim(CPU, "wait", 64, 1.25, "ours, 2 processes", ("ours",)),
    # Sign-in, ownership, limits and audit together may cost 15 % of throughput.
    Aim(SPEED, "wait", 64, 0.85, "ours, signed in", ("ours",)),
    Aim(SPEED, "wait", 64, 0.85, "ours, Valkey, signed in", ("ours, Valkey",)),
    Aim(CPU, "wait", 64, 12),
    Aim(WAIT, "wait", 1, 20),
    Aim(FIRST, "stream", 1, 10),
    Aim(FIRST, "stream", 64, 150),
)


def reached(levels: Sequence[Level]) -> list[dict[str, Any]]:
    """Every aim that was measured, with its values from the best to the worst."""
    found: list[dict[str, Any]] = []
    for aim in AIMS:
        here = [level for level in levels if (level.kind, level.clients) == (aim.kind, aim.clients)]
        repeats = ([level for level in here if level.repeat == repeat] for repeat in {level.repeat for level in here})
        values = sorted((value for repeat in repeats if (value := aim.value(repeat))), reverse=aim.at_least)
        if values:
            met = values[0] >= aim.bound if aim.at_least else values[0] <= aim.bound
            found.append({**asdict(aim), "at_least": aim.at_least, "values": values, "reached": met})
    return found


def show(levels: Sequence[Level]) -> str:
    parts: list[str] = []
    for kind, clients in dict.fromkeys((level.kind, level.clients) for level in levels):
        here = [level for level in levels if (level.kind, level.clients) == (kind, clients)]
        columns = COLUMNS[kind] | COMMON
        rows = [
            [target, *(_best(here, target, figure) for figure in columns.values()), str(_errors(here, target))]
            for target in dict.fromkeys(level.target for level in here)
        ]
        parts.append(table([f"{kind}, {clients} at once", *columns, "errors"], rows))
    aims = [
        [
            f"{aim['target']}{' / ' if aim['others'] else ''}{' or '.join(aim['others'])}",
            f"{aim['figure']}, {aim['kind']} {aim['clients']}",
            _range(aim["values"]),
            f"{'≥' if aim['at_least'] else '≤'} {aim['bound']:g}",
            "yes" if aim["reached"] else "no",
        ]
        for aim in reached(levels)
    ]
    return "\n".join([*parts, table(["best (worst) of the repeats", "figure", "measured", "aim", "reached"], aims)])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in (head, *rows))
    return "".join("  ".join(line) + "\n" for line in lines)


def _best(levels: Iterable[Level], target: str, figure: str) -> str:
    values = [value for level in levels if level.target == target and (value := level.figures[figure]) is not None]
    return _range(sorted(values, reverse=figure == SPEED))


def _errors(levels: Iterable[Level], target: str) -> int:
    return sum(level.errors for level in levels if level.target == target)


def _range(values: Sequence[float]) -> str:
    """The best, and the worst in brackets where it differs."""
    shown = (
        [f"{value:.0f}" if value >= 100 else f"{value:.3g}" for value in (values[0], values[-1])] if values else ["–"]
    )
    return shown[0] if shown[0] == shown[-1] else f"{shown[0]} ({shown[-1]})"
