#!/usr/bin/env python3
"""Look for words in the command lines and environments of all processes, until a file is there.

Usage:
  watcher.py FILE    the words come by standard input, a line each

Prints a line for each process that showed one, and in the end how often it looked.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

LIMIT = 600  # seconds


def shown(process: Path, words: list[bytes]) -> set[tuple[int, str]]:
    """Return which words a process shows, by their numbers, and where: its command line, its environment."""
    found = set()
    for name in ("cmdline", "environ"):
        try:
            content = (process / name).read_bytes()
        except OSError:
            continue  # it has ended, or is another user's
        found |= {(number, name) for number, word in enumerate(words, 1) if word in content}
    return found


def named(process: Path) -> str:
    """Return the name of a process."""
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a process that has ended"


def main() -> None:
    """Look again and again."""
    words = [line.encode() for line in sys.stdin.read().splitlines() if line]
    end, hits, looks = Path(sys.argv[1]), set(), 0
    deadline = time.monotonic() + LIMIT
    while not end.exists() and time.monotonic() < deadline:
        for process in Path("/proc").glob("[0-9]*"):
            hits |= {f"word {number}: {name} of {named(process)}" for number, name in shown(process, words)}
        looks += 1
    for hit in sorted(hits):
        print(hit)  # noqa: T201
    print(f"{looks} looks")  # noqa: T201


if __name__ == "__main__":
    main()
