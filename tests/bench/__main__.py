"""Previews in process and by the real engine; the engine's `up` from nothing, and how it grows."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from stacks.capture import capture
from stacks.configuration import ROOT, known_stacks, read_settings
from stacks.embedded.engine import open_workspace, run
from stacks.review.__main__ import review_of
from stacks.review.documents import document, html
from stacks.review.markdown import markdown
from stacks.terminal import Exit, Refused, console, errors, run_command
from tests.bench.growth import Up, up_of_size, up_of_stack
from tests.bench.policies import policies
from tests.bench.timing import median
from tools.activity import shown
from tools.catalogue import Unavailable
from tools.obtain import obtain

SIZES, LONG_SIZES = (100, 300), (1000,)


@dataclass(frozen=True)
class Measured:
    """Medians in seconds, each from the start of a process to its end."""

    stack: str
    in_process: float
    engine: float | None  # None where no pulumi command can be had

    @property
    def ratio(self) -> float | None:
        return self.engine / self.in_process if self.engine else None


@dataclass(frozen=True)
class Reviewed:
    """Medians in seconds of a review of all stacks."""

    from_graphs: float  # the base's graphs are there: plan, policy, cost and every document
    whole: float  # a new process, and the base commit captured by processes of its own


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="how often each is measured, after one run to warm up")
    parser.add_argument("--quick", action="store_true", help="each once and cold, and an up of 100 resources alone")
    parser.add_argument("--long", action="store_true", help="an up of 1,000 resources too, which takes minutes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    runs = 0 if options.quick else options.runs
    pulumi = find_pulumi()
    with shown(errors) as report:

        def measure(stack: str) -> Measured:
            report(f"measuring {stack}", 0, None)
            return Measured(stack, in_process(stack, runs), pulumi and engine(stack, pulumi, runs))

        results = [measure(stack) for stack in known_stacks()]
        report("measuring a review of every stack", 0, None)
        reviewed = review(runs)
        report("measuring policies", 0, None)
        checked = policies(pulumi, runs)
        ups: list[Up] = []
        if pulumi:
            if not options.quick:
                report("measuring up of prod", 0, None)
                ups.append(up_of_stack("prod", pulumi))
            for size in SIZES[:1] if options.quick else (*SIZES, *(LONG_SIZES if options.long else ())):
                report(f"measuring up of {size} resources", 0, None)
                ups.append(up_of_size(size, pulumi))
    if options.json:
        rows = [asdict(result) | {"ratio": result.ratio} for result in results]
        whole = {
            "cores": os.cpu_count(),
            "runs": runs,
            "preview": rows,
            "review": asdict(reviewed),
            "policies": asdict(checked) | {"ratio": checked.ratio},
            "up": [asdict(up) for up in ups],
        }
        sys.stdout.write(json.dumps(whole, indent=2) + "\n")
    else:
        print_table(results, runs)
        console.print(
            f"review of every stack: {reviewed.from_graphs:.1f} s from the base's graphs, {reviewed.whole:.1f} s with them"
        )
        console.print(checked.told(), markup=False, soft_wrap=True)
        print_ups(ups)
        if options.quick:
            console.print("short and noisy; without --quick: medians, prod's up from nothing, and 300 resources")
    return Exit.OK


def find_pulumi() -> Path | None:
    try:
        with shown(errors) as report:
            return obtain("pulumi", report).path
    except Unavailable as reason:
        errors.print(f"left out: the engine's preview: {reason}", markup=False, soft_wrap=True)
        return None


def in_process(stack: str, runs: int) -> float:
    """`make preview`, from a cold interpreter."""
    return median(
        runs,
        lambda: subprocess.run(
            [sys.executable, "-m", "stacks.capture", "--stack", stack], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
        ),
    )


def engine(stack: str, pulumi: Path, runs: int) -> float:
    """`pulumi preview` of an empty stack, which is what the capture shows too."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = open_workspace(stack, pulumi, Path(folder))

        def preview() -> None:
            completed = run(workspace, ["preview"])
            if completed.code != 0:
                raise Refused(f"pulumi preview of {stack} failed:\n{completed.stdout}{completed.stderr}", Exit.FAILED)

        return median(runs, preview)


def review(runs: int) -> Reviewed:
    """What a reviewer waits for; against the same commit, so that the most is compared and nothing is left out."""
    stacks = known_stacks()
    standing = {stack: capture(read_settings(stack), stack, preview=False) for stack in stacks}
    today = datetime.now(UTC).date()

    def from_graphs() -> None:
        reviews = [review_of(standing[stack], stack, today, {}) for stack in stacks]
        assert all(markdown(found) and document(found) for found in reviews)
        assert html(reviews)

    command = [sys.executable, "-m", "stacks.review", "--base", "HEAD"]
    return Reviewed(
        median(runs, from_graphs),
        median(runs, lambda: subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)),
    )


def print_table(results: list[Measured], runs: int) -> None:
    table = Table("preview of", "in process", "by the engine", "ratio", box=None, header_style="bold", pad_edge=False)
    for result in results:
        engine_text = f"{result.engine:.1f} s" if result.engine else "left out"
        ratio_text = f"{result.ratio:.1f} ×" if result.ratio else ""
        table.add_row(result.stack, f"{result.in_process:.1f} s", engine_text, ratio_text)
    console.print(table)
    how_often = f"median of {runs} runs, after one to warm up" if runs else "one run"
    console.print(f"{how_often}, on {os.cpu_count()} cores, each a new process")


def print_ups(ups: list[Up]) -> None:
    columns = ("up of", "resources", "seconds", "per resource", "peak memory", "without checkpoints")
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for up in ups:
        without = f"{up.without_checkpoints:.1f} s" if up.without_checkpoints else ""
        each = f"{1000 * up.seconds / up.resources:.0f} ms"
        table.add_row(up.what, str(up.resources), f"{up.seconds:.1f} s", each, f"{up.peak_mib:.0f} MiB", without)
    console.print(table)
    console.print(
        "one run each, from an empty stack; without checkpoints: the engine's file backend writes the whole state "
        "twice for each resource, which is what grows faster than the resources",
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
