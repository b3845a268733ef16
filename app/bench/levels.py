"""Measures targets in turn, A, B, C, A, B, C: each has neighbours from the same moment to be compared with."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import psutil

from app.bench.load import load
from app.bench.measures import cores_used, fixed_loop_ms, resident_mib, totals
from app.bench.servers import Server
from app.bench.targets import Kind, Target


@dataclass(frozen=True)
class Plan:
    """How long each target is measured at each level (a kind, so many clients at once), and how often."""

    seconds: float
    repeats: int
    levels: Sequence[tuple[Kind, int]]


@dataclass(frozen=True)
class Level:
    """One target under one load. Figures that grow with the runs are given for one run."""

    target: str
    kind: Kind
    clients: int
    repeat: int
    runs: int
    errors: int
    unfinished: int
    figures: Mapping[str, float | None]


def measure(
    plan: Plan, targets: Sequence[Target], servers: Mapping[str, Server], postgres: psutil.Process
) -> Generator[Level]:
    for repeat in range(plan.repeats):
        for kind, clients in plan.levels:
            for target in targets:
                if kind == "wait" or target.streams:
                    level = _measure(target, servers[target.server], postgres, kind, clients, plan.seconds, repeat)
                    speed = level.figures["runs_per_second"]
                    sys.stderr.write(f"{repeat + 1}/{plan.repeats} {kind} {clients} × {target.name}: {speed:.0f}/s\n")
                    yield level


def _measure(
    target: Target, server: Server, postgres: psutil.Process, kind: Kind, clients: int, seconds: float, repeat: int
) -> Level:
    server.go_on()
    load(server, target, kind, clients, runs=clients)  # to wake everything up
    speed, before = fixed_loop_ms(), totals(server, postgres)
    busy, there = cores_used()
    seen = load(server, target, kind, clients, seconds=seconds)
    busy, there = (now - then for now, then in zip(cores_used(), (busy, there), strict=True))
    after, resident = totals(server, postgres), resident_mib(server)
    server.pause()
    runs = len(seen.answers)
    figures = {
        "runs_per_second": runs / seen.seconds,
        **{f"p{part}_ms": seen.ms(part / 100) for part in (50, 95, 99)},
        "first_event_p50_ms": seen.ms(0.5, "first_event"),
        "first_values_p50_ms": seen.ms(0.5, "first_values"),
        **{name: (after[name] - before[name]) / max(runs, 1) for name in before},
        "resident_mib": resident,
        "fixed_loop_ms": speed,
        "load_average": os.getloadavg()[0],
        "machine_busy": 100 * busy / there,
    }
    return Level(target.name, kind, clients, repeat, runs, seen.errors, seen.unfinished, figures)
