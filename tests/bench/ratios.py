# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run floor and collection in turn on fresh hosts, and compare the medians."""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from watched import INVENTORY, LOGS, ROOT, Command, bench, command, converge, fresh_hosts, say

HERE = Path(__file__).resolve().parent
KINDS = ("floor", "fresh", "again")


@dataclass
class Figures:
    """Seconds of each run by kind, and the modules that a run at rest runs on each host."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    module_runs: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, seconds: float) -> None:
        """Note a run and say how long it took."""
        self.seconds[kind].append(seconds)
        say(f"{kind} {len(self.seconds[kind])}: {seconds:.1f} s")

    def median(self, kind: str) -> float:
        """Return the median of a kind's seconds."""
        return float(statistics.median(self.seconds[kind]))

    def ratio(self, kind: str) -> float | None:
        """Return the median of a kind against the floor's, if both were measured."""
        if not (self.seconds[kind] and self.seconds["floor"]):
            return None
        return self.median(kind) / self.median("floor")


def run_floor() -> float:
    """Run the floor; it says itself how long it took without its checks."""
    with command("floor", HERE / "floor", log="floor") as run:
        return float(run.must_succeed().log.read_text().splitlines()[-1])


def run_fresh(count: int) -> float:
    """Converge fresh hosts."""
    return converge("fresh", INVENTORY, f"fresh-{count}").seconds


def run_again(count: int) -> tuple[Command, Counter[str]]:
    """Converge hosts at rest, and count the modules that run on each."""
    runs = LOGS / f"module-runs-{count}.jsonl"
    runs.unlink(missing_ok=True)
    counted = {
        "STEADFAST_MODULE_RUNS": str(runs),
        "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_tasks,module_runs",
    }
    run = converge("again", INVENTORY, f"again-{count}", counted).must_change_nothing()
    return run, Counter(json.loads(line)["host"] for line in runs.read_text().splitlines())


def measure(rounds: int, only: str | None) -> Figures:
    """Measure what is asked for, floor and collection in turn."""
    figures = Figures()
    for count in range(1, rounds + 1):
        if only in (None, "floor"):
            fresh_hosts(INVENTORY)
            figures.add("floor", run_floor())
        if only in (None, "fresh") or (only == "again" and count == 1):
            fresh_hosts(INVENTORY)
            figures.add("fresh", run_fresh(count))
        if only in (None, "again"):
            run, module_runs = run_again(count)
            figures.add("again", run.seconds)
            figures.module_runs |= module_runs
    return figures


def profile(kind: str) -> None:
    """Print which tasks took longest in the last run of a kind."""
    logs = sorted(LOGS.glob(f"{kind}-*.log"), key=lambda log: log.stat().st_mtime)
    if logs:
        say(f"\nlongest tasks of {logs[-1].relative_to(ROOT)}:")
        say(logs[-1].read_text().rpartition("=====")[2].strip())


def report(figures: Figures, limits: dict[str, float | None], module_runs: int | None) -> bool:
    """Print all figures and return whether they are within their limits."""
    missed = []
    say("\n        seconds                   median   ratio   limit")
    for kind in KINDS:
        if not (seconds := figures.seconds[kind]):
            continue
        ratio, limit = figures.ratio(kind), limits.get(kind)
        listed = " ".join(f"{value:.1f}" for value in seconds)
        shown = [f"{value:>7.2f}" if value is not None else " " * 7 for value in (ratio, limit)]
        say(f"{kind:<7} {listed:<24} {figures.median(kind):>7.1f} {' '.join(shown)}")
        if limit is not None and (ratio is None or ratio > limit):
            missed.append(kind)
    if figures.module_runs:
        listed = ", ".join(f"{host} {count}" for host, count in sorted(figures.module_runs.items()))
        say(f"module runs at rest: {listed}" + (f" (limit {module_runs})" if module_runs else ""))
        if module_runs and max(figures.module_runs.values()) > module_runs:
            missed.append("module runs")
    say(f"missed: {', '.join(missed)}" if missed else "nothing missed")
    return not missed


def main() -> int:
    """Measure, report, and return 1 when a limit is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("-n", type=int, default=3, metavar="ROUNDS", help="how often each is measured (3)")
    parser.add_argument("--only", choices=KINDS, help="measure only this; nothing is compared then")
    parser.add_argument("--fresh", type=float, metavar="RATIO", help="limit of a fresh run against the floor")
    parser.add_argument("--again", type=float, metavar="RATIO", help="limit of a run at rest against the floor")
    parser.add_argument("--module-runs", type=int, metavar="COUNT", help="limit of module runs a host at rest")
    parser.add_argument("--keep", action="store_true", help="leave the hosts at the end")
    wanted = parser.parse_args()
    if wanted.only and (wanted.fresh or wanted.again):
        parser.error("--fresh and --again are ratios, which --only does not measure")
    with bench(INVENTORY, wanted.keep):
        figures = measure(wanted.n, wanted.only)
    for kind in ("fresh", "again"):
        if figures.seconds[kind]:
            profile(kind)
    return 0 if report(figures, {"fresh": wanted.fresh, "again": wanted.again}, wanted.module_runs) else 1
