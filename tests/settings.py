"""What the tests of changed settings share: a run with parameters, and what the hosts have and run with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab import Lab, Run

DATABASES = ["db1", "db2", "db3"]


def converge(lab: Lab, parameters: dict[str, Any], *arguments: str, expect: int | None = 0) -> Run:
    """Run site.yml with these parameters."""
    values = json.dumps({"postgresql_server_parameters": parameters})
    return lab.playbook("site.yml", "-e", values, *arguments, expect=expect)


def files(lab: Lab) -> dict[str, str]:
    """Every file of the configuration with its content and time, by host."""
    command = "find /etc/postgresql/16/main -type f -printf %p:%T@\\\\n -exec sha256sum {} + | sort"
    return {host: lab.shell(host, command) for host in DATABASES}


def started(lab: Lab) -> dict[str, float]:
    """Return when each server started."""
    query = "SELECT extract(epoch FROM pg_postmaster_start_time())"
    return {host: float(lab.sql(host, query)) for host in DATABASES}


def values(lab: Lab, name: str) -> dict[str, str]:
    """Return what each server runs with."""
    return {host: lab.sql(host, f"SHOW {name}") for host in DATABASES}
