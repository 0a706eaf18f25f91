# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A platform as the decision of a host and the verification read it: all that instance_info and preflight return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import service_role
import situations
from ansible_collections.steadfast.postgresql.plugins.module_utils import _decision, _host_files, _kernel
from ansible_collections.steadfast.postgresql.plugins.module_utils._given import Given

GIB = 1 << 30
DAY = 86400
NOW = 1_790_000_000.0
MINIMA = {
    "max_connections": "200",
    "max_locks_per_transaction": "128",
    "max_prepared_transactions": "0",
    "max_wal_senders": "16",
    "max_worker_processes": "32",
}
PROJECT_FINGERPRINT = "B97B0AFCAA1A47F044F244A07FCC7D46ACCC4CF8"
DEBIAN_13 = {
    "tested": True,
    "pgdg_key": "/usr/share/postgresql-common/pgdg/apt.postgresql.org.asc",
    "pgdg_fingerprint": PROJECT_FINGERPRINT,
    "distribution_postgresql": "17",
    "packages": ["postgresql-{version}", "postgresql-client-{version}"],
}
LUKS = {
    "mount": "/var/lib/postgresql",
    "file_system": "ext4",
    "device": "/dev/mapper/data",
    "encrypted": True,
    "ciphers": ["aes-xts-plain64"],
}
PLATFORMS = {"debian_12": DEBIAN_13 | {"tested": False, "distribution_postgresql": "15"}, "debian_13": DEBIAN_13}
ROLES = {
    "postgres": {"superuser": True, "replication": True, "login": True, "groups": []},
    "replicator": {"superuser": False, "replication": True, "login": True, "groups": []},
    "ada": {"superuser": False, "replication": False, "login": True, "groups": ["pg_monitor", "pg_signal_backend"]},
}


def wanted_of_host(**changes: Any) -> dict[str, Any]:
    """The variables of the role host, without their prefix; no firewall, of which the tests of that role are."""
    quiet = {"firewall": False, "ssh_networks": [], "open_ports": [], "huge_pages": "off", "encryption": "observed"}
    return quiet | changes


def guard(*settings: _kernel.Setting, **changes: Any) -> dict[str, Any]:
    """What is seen of a host's guard when there is nothing to do."""
    texts = _host_files.contents("main", settings, firewall=False)
    live = {setting.name: {"value": setting.value, "writable": True} for setting in _kernel.FIXED}
    return {
        "ssh": {"ports": [22], "client": ""},
        "firewall": {"live": "", "file": "", "record": None, "enabled": False, "members": {}},
        "kernel": live | {_kernel.HUGE_PAGES: {"value": "0", "writable": True}},
        "huge_page_bytes": 2 << 20,
        "files": {path: _host_files.fingerprint(text) for path, text in texts.items()},
        "resolved": {},
        **changes,
    }


def member(name: str, region: str = "", zone: str = "", **more: Any) -> dict[str, Any]:
    """A member as preflight returns it."""
    return {
        "name": name,
        "member_name": name.replace("-", "_"),
        "duties": ["database", "pooler"],
        "region": region,
        "zone": zone,
        "address": "",
        "parameters": {},
        "hba_rules": [],
        "extension_packages": [],
        "preload_libraries": ["pg_stat_statements"],
        "memory": "",
        "storage": "",
        "workload": "mixed",
        "data_directory": "/var/lib/postgresql/16/main",
        "package_source": "pgdg",
        "allow_untested_platform": False,
        "listen_addresses": [],
        "host": wanted_of_host(),
        **more,
    }


DB1 = member("db1", "eu-west", "eu-west-1a")
DB2 = member("db2", "eu-west", "eu-west-1b")
DB3 = member("db3", "us-west", "us-west-2a")
OPS1 = member("ops1", "eu-west", "eu-west-1a", duties=["repository", "migrations", "drill"])


def cluster(*members: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A cluster as preflight returns it: three database hosts and a repository host, unless members are given."""
    return {
        "name": "main",
        "version": "16",
        "port": 5432,
        "initial_primary": "db1",
        "durability": "required",
        "locale": "C.UTF-8",
        "locale_provider": "libc",
        "adopt": "",
        "administrators": ["ada"],
        "repositories": [],
        "backup_port": 0,
        "application_networks": [],
        "management_networks": [],
        "members": list(members or (DB1, DB2, DB3, OPS1)),
        **changes,
    }


def own(**changes: Any) -> dict[str, Any]:
    """The variables of a host that the decision looks at."""
    return {
        "postgresql_server_data_directory": "/var/lib/postgresql/16/main",
        "postgresql_server_wal_directory": "",
        "postgresql_server_listen_addresses": [],
        "postgresql_server_preload_libraries": ["pg_stat_statements"],
        "postgresql_server_parameters": {},
        "postgresql_certificates_directory": "/etc/ssl/postgresql/main",
        "postgresql_backup_emergency_file": "64MB",
        "postgresql_backup_metrics_directory": "/var/lib/prometheus/node-exporter",
        **changes,
    }


def observed(name: str, seen: Mapping[str, Any]) -> dict[str, Any]:
    """A host of `situations` with all that is seen of it besides."""
    address = situations.ADDRESSES[name]
    whole = {
        **seen,
        "host": {
            "distribution": "Debian",
            "distribution_version": "13",
            "cores": 2,
            "memory_bytes": 8 * GIB,
            "cgroup_memory_bytes": None,
            "ipv4": address,
            "ipv6": None,
        },
        "project_key": {"fingerprint": PROJECT_FINGERPRINT},
        "packages": {"postgresql-16": "16.14-1", "postgresql-client-16": "16.14-1"},
        "stale": [],
        "certificates": {"not_after": NOW + 300 * DAY, "key_matches": True, "ca_signed": True},
        "guard": guard(),
    }
    if "data" not in seen:
        return whole
    disk = {"mount": "/", "bytes": 100 * GIB, "available": 80 * GIB, "rotational": False}
    whole["disks"] = {"data": disk, "wal": disk}
    whole["volumes"] = {"data": LUKS, "wal": LUKS}
    whole["guard"] = guard(*_kernel.FIXED)
    whole["unit"] = {
        "enabled": True,
        "needs_daemon_reload": False,
        "watch": {"active": "inactive"},
        "oom": {"unit": -900, "server": -900, "child": 0, "may_protect": True},
    } | seen["unit"]
    if seen.get("server"):
        whole["server"] = _server(seen["server"])
    return whole


def platform(hosts: Mapping[str, Any]) -> dict[str, Any]:
    """The hosts of a situation; None stays unknown."""
    return {name: seen and observed(name, seen) for name, seen in situations.with_journals(hosts).items()}


def given(host: str = "db1", hosts: Mapping[str, Any] | None = None, **changes: Any) -> Given:
    """What a host decides upon; at rest unless hosts are given."""
    return Given(
        host=host,
        cluster=changes.pop("cluster", None) or cluster(),
        own=own(**changes.pop("own", {})),
        observed=platform(situations.healthy() if hosts is None else hosts),
        platforms=changes.pop("platforms", PLATFORMS),
    )


def decide(host: str = "db1", hosts: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The decision of a host."""
    return _decision.decide(given(host, hosts, **changes))


def picked(decision: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The part of a decision that a test is about."""
    return {name: decision[name] for name in expected}


def setting(value: str, **changes: Any) -> dict[str, Any]:
    """A setting as pg_settings shows it."""
    return {
        "value": value,
        "unit": None,
        "source": "configuration file",
        "sourcefile": "/etc/postgresql/16/main/conf.d/10-server.conf",
        "pending_restart": False,
        **changes,
    }


def _server(seen: Mapping[str, Any]) -> dict[str, Any]:
    settings = {name: setting(value) for name, value in MINIMA.items()}
    names = seen["settings"].get("synchronous_standby_names", {"value": ""})["value"]
    settings["synchronous_standby_names"] = setting(names)
    settings["archive_command"] = setting("/usr/bin/pgbackrest archive-push %p")
    streams = {
        name: {
            "state": "streaming",
            "sync_state": "quorum"
            if f'"{name}"' in seen["settings"]["synchronous_standby_names"]["value"]
            else "async",
            "tls": "TLSv1.3",
            "lag_bytes": 0,
            "replay_lag_seconds": None,
            **stream,
        }
        for name, stream in seen["replication"].items()
    }
    return {
        "version": "16.14",
        "file_errors": [],
        "rule_errors": [],
        "pending": {},
        "weak_commits": [],
        "roles": ROLES,
        "services": service_role.seen(),
        "database_bytes": 30_000_000,
        "archiver": {"waiting": 0, "last_failed": None, "last_failed_at": None, "last_archived_at": NOW - 5},
        **seen,
        "replication": streams,
        "settings": {name: setting(item["value"]) for name, item in seen["settings"].items()} | settings,
    }


def seen(given: Given, host: str) -> dict[str, Any]:
    """What was seen of a host, for a test that changes it."""
    found = given.observed[host]
    assert isinstance(found, dict)
    return found
