"""Administrators come and go: who has left is named, with the statement that locks them out, until it was run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml
from lab import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab

LEFT = 'The role "leaver@example.com" is an administrator who is not in postgresql_administrators, and may log in.'
LOGIN = "SELECT rolcanlogin, rolpassword IS NULL FROM pg_authid WHERE rolname = $$leaver@example.com$$"


@pytest.fixture
def with_leaver(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """Variables that name one more administrator, who is dropped afterwards."""
    password = yaml.safe_load((STATE / "secrets.yml").read_text())["dba_password"]
    administrators = [{"name": name, "password": password} for name in ("dba", "leaver@example.com")]
    path = tmp_path / "variables.yml"
    path.write_text(yaml.safe_dump({"postgresql_administrators": administrators}))
    yield path
    lab.sql("db1", 'DROP ROLE IF EXISTS "leaver@example.com"')


def test_who_has_left_is_named_until_locked_out(lab: Lab, with_leaver: Path) -> None:
    lab.playbook("site.yml", "-e", f"@{with_leaver}")
    assert lab.sql("db1", LOGIN) == "t|f"

    run = lab.playbook("site.yml")
    assert f"warning: {LEFT}" in run.output
    assert lab.sql("db1", LOGIN) == "t|f"
    advised = re.search(r"run on db1: (ALTER ROLE .*?;)", run.output)
    assert advised
    lab.sql("db1", advised[1])

    assert lab.sql("db1", LOGIN) == "f|t"
    check = lab.playbook("playbooks/check_cluster.yml")
    assert "postgresql_administrators" not in check.output
    # Who comes back may log in again.
    lab.playbook("site.yml", "-e", f"@{with_leaver}")
    assert lab.sql("db1", LOGIN) == "t|f"
