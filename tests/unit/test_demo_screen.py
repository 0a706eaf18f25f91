# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of `make demo`, from logs of runs that went well, found something wrong, failed and were refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[1] / "hosts" / "demo-screen"
BEGIN = """\
PLAY [Converge the PostgreSQL platform] ****************************************

TASK [steadfast.postgresql.cluster : Refuse what is wrong in the inventory] ****
"""
SCREEN = """\
PostgreSQL 16, cluster main, durability required

  host  role     place               server        timeline  lag  stream
  db1   primary  eu-west eu-west-1a  takes writes  1

Connect over TLS, from a network that the inventory names:
  psql "host=db1 dbname=postgres user=dba sslmode=verify-full"
"""
GOOD = """
Verified, with findings:
  warning: There is no archive of db1's WAL: no moment of the past can be restored.
"""
BAD = """
1 of 1 findings are errors:
  error: db2 has no certificate. Run site.
"""
END = """
TASK [steadfast.postgresql.cluster : Verify and sum up] ************************
ok: [db2]
"""
RECAP = """
PLAY RECAP *********************************************************************
db1                        : ok=15   changed=0    unreachable=0    failed=0    skipped=12   rescued=0    ignored=0
"""
FINDINGS = """\
[ERROR]: Task failed: Action failed: error: db2 has no certificate. Run site.
error: Another. Run site.
Origin: /x/roles/cluster/tasks/end.yml:13:3

11   register: __postgresql_cluster_outcome
12
13 - name: Verify and sum up
     ^ column 3

fatal: [db1]: FAILED! => {"changed": false, "msg": "error: db2 has no certificate. Run site."}
"""
MODULE = """\
[ERROR]: Task failed: Module failed: reload: 16/main refuses its configuration: pg_hba.conf line 24: bad mask.
Origin: /x/roles/server/tasks/service.yml:20:3

18   when: x

fatal: [db3]: FAILED! => {"changed": false, "msg": "reload: 16/main refuses its configuration"}
"""
REFUSED = """\
[ERROR]: Task failed: Action failed: Cluster main: 2 mistakes in the inventory; no host was touched.
- db1: postgresql_port: 0 is no port
- db2: postgresql_port: 0 is no port
Origin: /x/roles/cluster/tasks/begin.yml:3:3

fatal: [db1]: FAILED! => {"changed": false, "msg": "Cluster main: 2 mistakes in the inventory; no host was touched."}
"""
UNREACHABLE = """\
[ERROR]: Task failed: Failed to connect to the host via ssh: connect to host 10.0.0.1 port 22: Connection refused
Origin: /x/roles/cluster/tasks/begin.yml:7:3

fatal: [db1]: UNREACHABLE! => {"changed": false, "unreachable": true}
"""


def show(tmp_path: Path, text: str, *status: str) -> tuple[int, str]:
    log = tmp_path / "site.log"
    log.write_text(text)
    done = subprocess.run([str(TOOL), str(log), *status], check=False, capture_output=True, text=True)
    assert done.stderr == ""
    return done.returncode, done.stdout.replace(str(log), "LOG")


@pytest.mark.parametrize("status", [[], ["0"]])
def test_a_run_that_went_well(tmp_path: Path, status: list[str]) -> None:
    code, shown = show(tmp_path, BEGIN + SCREEN + GOOD + END + RECAP, *status)
    screen, _, rest = shown.partition("Passwords: .demo/secrets.yml")
    assert (code, screen) == (0, f"\n{SCREEN}{GOOD}\n")
    assert "make demo-down" in rest


FAILED = "The demo is not ready: site.yml ended with status 2. The whole log: LOG\n\n"
ADVICE = "\nTry next:\n  make demo  "


@pytest.mark.parametrize(
    ("log", "screen", "reasons"),
    [
        pytest.param(BEGIN + SCREEN + BAD + END + FINDINGS + RECAP, f"{SCREEN}{BAD}\n", "", id="findings"),
        pytest.param(
            BEGIN + MODULE + SCREEN + GOOD + END + RECAP,
            f"{SCREEN}{GOOD}\n",
            "  Module failed: reload: 16/main refuses its configuration: pg_hba.conf line 24: bad mask.\n",
            id="a module",
        ),
        pytest.param(
            BEGIN + REFUSED + RECAP,
            "",
            "  Action failed: Cluster main: 2 mistakes in the inventory; no host was touched.\n"
            "  - db1: postgresql_port: 0 is no port\n  - db2: postgresql_port: 0 is no port\n",
            id="refused",
        ),
        pytest.param(
            BEGIN + UNREACHABLE + RECAP,
            "",
            "  Failed to connect to the host via ssh: connect to host 10.0.0.1 port 22: Connection refused\n",
            id="unreachable",
        ),
        pytest.param("", "", "", id="nothing at all"),
    ],
)
def test_a_run_that_failed(tmp_path: Path, log: str, screen: str, reasons: str) -> None:
    code, shown = show(tmp_path, log, "2")
    assert code == 2
    assert shown.partition(ADVICE)[0] == f"\n{screen}{FAILED}{reasons}"
    assert "Passwords" not in shown
    assert "check_cluster.yml" in shown
