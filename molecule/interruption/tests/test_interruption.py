"""Kill fresh runs at random tasks; the next run converges, and the one after it changes nothing."""

from __future__ import annotations

import subprocess

from lab import INVENTORY, ROOT


def test_killed_runs_are_mended() -> None:
    command = [
        str(ROOT / "tests" / "bench" / "kill_converge"),
        "--rounds",
        "2",
        "--inventory",
        str(INVENTORY),
        "--keep",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr
