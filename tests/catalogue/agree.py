#!/usr/bin/env python3
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a real `postgres` whether it takes the values that this collection takes, and reads them the same way.

    PYTHONPATH=.ansible/collections python3 tests/catalogue/agree.py 16 /usr/lib/postgresql/16/bin/postgres

Many values for every parameter of the catalogue go to `postgres -C`, which needs no running server (an empty directory
stands for the data). Each disagreement is printed; exit status 1 when there is any.
What is known to differ is left out: values that the collection refuses on purpose (`_parameter_rules.HOLES`),
compression methods that a server may be built without, numbers of processes near the limit of their sum.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.steadfast.postgresql.plugins.module_utils import _parameter_rules, _parameter_values, _units
from ansible_collections.steadfast.postgresql.plugins.module_utils._catalogue import Parameter, catalogue

# Their check looks at another parameter, so each value is tried alone; or at the machine, so none is.
ALONE = frozenset(
    {
        "autovacuum_max_workers",
        "log_executor_stats",
        "log_min_messages",
        "log_parser_stats",
        "log_planner_stats",
        "log_statement_stats",
        "max_connections",
        "max_wal_senders",
        "max_worker_processes",
    }
)
MACHINE = frozenset({"max_stack_depth"})
BUILD = frozenset({"lz4", "zstd"})

WORDS = "on off true false yes no 1 0 t f y n tr of o ON Off TRUE maybe none auto try partition debug debug2 regress"
NUMBERS = (
    "0 1 -1 2 7 10 42 100 1000 65536 2147483647 2147483648 -2147483648 99999999999999999999 010 08 0x10 0X1F 0x 1e3"
    " 1e-3 1.5 2.5 3.5 .5 5. . 1e 1e+2 0x1p3 0x1.8 inf -inf nan 1e999 1e-999 +5 -+5 5,5 1_000 ten"
)
UNITS = "B kB MB GB TB KB kb mb M G us ms s min h d m sec hours day MBs"
SPACED = (" MB", " kB ", "\tmin", " min x", "on ", " on")
AMOUNTS = ("1", "64", "0.3", "1.7", "100000", "29499", "0x40", "1e2", "-1")


def candidates(parameter: Parameter) -> Iterator[str]:
    """Texts worth trying for a parameter."""
    yield from WORDS.split()
    yield ""
    yield from (value for value in _values(parameter) if value.lower() not in BUILD)


def _values(parameter: Parameter) -> Iterator[str]:
    if parameter.vartype in {"integer", "real"}:
        yield from NUMBERS.split()
        yield from (amount + unit for amount in AMOUNTS for unit in (*UNITS.split(), *SPACED))
        for edge in (parameter.minimum, parameter.maximum):
            if abs(edge) < 1e300 and edge != 262143:
                yield from (f"{edge + step:.10g}" for step in (-1, -0.5, -0.4, 0, 0.4, 0.5, 1))
                yield _units.quantity(edge, parameter.unit)
    for value in parameter.values:
        yield from (value, value.upper(), f" {value}", f"{value}x")


def taken(parameter: Parameter, value: str, version: str) -> bool | None:
    """Whether the collection takes a value; None where it refuses one on purpose."""
    try:
        _parameter_values.text(parameter.name, value, version)
    except _parameter_values.ParameterError as error:
        return None if "is too small; write" in str(error) and parameter.name in _parameter_rules.HOLES else False
    return True


class Server:
    """A `postgres` program that is only asked for values."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.file = folder / "candidate.conf"
        self.file.touch()

    def ask(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run `postgres -C name` over the candidate file."""
        command = [self.program, "-C", name, "-D", str(self.folder), "-c", f"config_file={self.file}", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")

    def refused(self, values: dict[str, str]) -> set[str]:
        """The parameters whose value the program refuses."""
        lines = [
            f"{name} = '" + value.replace("\\", "\\\\").replace("'", "''") + "'\n" for name, value in values.items()
        ]
        self.file.write_text("".join(lines).replace("\t", "\\t"), encoding="utf-8")
        return set(re.findall(r'parameter "([^"]+)"', self.ask("port").stderr))

    def reads(self, name: str, value: str) -> str:
        """What the program makes of one value."""
        self.file.write_text("", encoding="utf-8")
        return self.ask(name, "-c", f"{name}={value}").stdout.removesuffix("\n")


def rounds(parameters: list[Parameter]) -> Iterator[dict[str, str]]:
    """Give every parameter its next candidate, until none has any left."""
    left = {parameter.name: list(dict.fromkeys(candidates(parameter))) for parameter in parameters}
    for name in ALONE & set(left):
        yield from ({name: value} for value in left.pop(name))
    while any(left.values()):
        yield {name: values.pop() for name, values in left.items() if values}


def main(version: str, program: str) -> int:
    """Print the disagreements and what was tried."""
    known = catalogue(version)
    parameters = [
        p
        for p in known.values()
        if p.context != "internal" and p.vartype != "string" and "." not in p.name and p.name not in MACHINE
    ]
    wrong: list[str] = []
    tried = read = 0
    with tempfile.TemporaryDirectory() as folder:
        server = Server(program, Path(folder))
        for values in rounds(parameters):
            refused = server.refused(values)
            for name, value in values.items():
                tried += 1
                if taken(known[name], value, version) is (name in refused):
                    wrong.append(f"{name} = {value!r}: the server {'refuses' if name in refused else 'takes'} it")
        for parameter in parameters:
            for value in dict.fromkeys(candidates(parameter)):
                if parameter.vartype == "bool" or len(value) > 6 or not taken(parameter, value, version):
                    continue
                read += 1
                shown = server.reads(parameter.name, value)
                if shown and not _parameter_values.same_value(parameter.name, value, shown, version):
                    wrong.append(f"{parameter.name} = {value!r}: the server reads {shown}")
    sys.stdout.writelines(line + "\n" for line in wrong)
    sys.stdout.write(f"{tried} values tried, {read} read back, {len(wrong)} disagreements\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
