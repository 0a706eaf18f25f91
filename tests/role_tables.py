#!/usr/bin/env python3
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the table of variables in each role's README from its argument spec; with --check only compare."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[1] / "roles"
BEGIN = "<!-- arguments: begin -->"
END = "<!-- arguments: end -->"
HEADINGS = ("Variable", "Type", "Default", "Meaning")
MARKUP = re.compile(r"\b[CVOIB]\(([^()]*)\)")


def table(specs: Mapping[str, Any]) -> str:
    """Return the tables of all entry points of a role as Markdown."""
    parts = []
    for name, entry in specs.items():
        rows = list(_rows("", entry.get("options") or {}))
        lines = [f"| {' | '.join(cells)} |" for cells in [HEADINGS, ("---",) * len(HEADINGS), *rows]]
        title = [] if len(specs) == 1 else [f"### Entry point `{name}`", ""]
        parts.append("\n".join([*title, *lines]))
    return "\n\n".join(parts)


def rewritten(text: str, specs: Mapping[str, Any]) -> str:
    """Return a README with a fresh table.

    Raises:
        ValueError: The README has no place for it.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table(specs)}\n{END}{after}"


def stale(roles: Path = ROLES, *, write: bool = False) -> list[str]:
    """Return what is wrong with the READMEs; with `write` the tables are written instead."""
    problems = []
    for spec in sorted(roles.glob("*/meta/argument_specs.yml")):
        readme = spec.parents[1] / "README.md"
        if not readme.exists():
            problems.append(f"{readme.relative_to(roles.parent)} is missing")
            continue
        text = readme.read_text(encoding="utf-8")
        try:
            fresh = rewritten(text, yaml.safe_load(spec.read_text(encoding="utf-8"))["argument_specs"])
        except ValueError as error:
            problems.append(f"{readme.relative_to(roles.parent)} {error}")
            continue
        if write and fresh != text:
            readme.write_text(fresh, encoding="utf-8")
        elif fresh != text:
            problems.append(f"{readme.relative_to(roles.parent)} is not up to date; run tests/role_tables.py")
    return problems


def _rows(prefix: str, options: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for name, spec in options.items():
        kind = spec.get("type", "str")
        kind = f"list of {spec['elements']}" if kind == "list" and "elements" in spec else kind
        yield f"`{prefix}{name}`", kind, _default(spec), _meaning(spec)
        within = "[]." if spec.get("type") == "list" else "."
        yield from _rows(f"{prefix}{name}{within}", spec.get("options") or {})


def _default(spec: Mapping[str, Any]) -> str:
    if spec.get("required"):
        return "required"
    if "default" not in spec:
        return ""
    value = spec["default"]
    text = value if isinstance(value, str) and value else json.dumps(value)
    return f"`{text}`".replace("|", "\\|")


def _meaning(spec: Mapping[str, Any]) -> str:
    description = spec.get("description", "")
    text = description if isinstance(description, str) else " ".join(description)
    if "choices" in spec:
        text += f" One of {', '.join(f'`{choice or json.dumps(choice)}`' for choice in spec['choices'])}."
    return MARKUP.sub(r"`\1`", " ".join(text.split())).replace("|", "\\|")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, exit with 1 where a table is stale")
    problems = stale(write=not parser.parse_args().check)
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
