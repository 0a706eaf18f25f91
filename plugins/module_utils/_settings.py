# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of one server: what the collection must own, what is tuned, and what the user wants instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _parameters, _tuning, _units
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import DATABASE

Json = Mapping[str, Any]

NO_ARCHIVE = "/bin/true"
# What makes a library work beside the rest of the platform.
OF_LIBRARIES = {
    "pg_cron": {
        "cron.use_background_workers": _tuning.Tuned("on", "jobs open no connection, which pg_hba.conf would refuse")
    }
}


@dataclass(frozen=True)
class Owned:
    """What the collection knows about a server and no tuning decides.

    Attributes:
        cluster: name of the cluster.
        listen_addresses: interfaces to listen on.
        port: TCP port.
        certificates: folder of ca.crt, server.crt and server.key on the host.
        preload: libraries loaded at start.
        archive_command: what each complete WAL segment is handed to.
    """

    cluster: str
    listen_addresses: Sequence[str]
    port: int
    certificates: str
    preload: Sequence[str]
    archive_command: str = NO_ARCHIVE


@dataclass(frozen=True)
class Setting:
    """A line of the configuration: the value as postgresql.conf has it, and a few words of reason."""

    value: str
    reason: str = ""


def owned(server: Owned) -> dict[str, str]:
    """Return the settings that belong to the collection, unquoted."""
    return {
        "cluster_name": server.cluster,
        "listen_addresses": ", ".join(server.listen_addresses),
        "port": str(server.port),
        "ssl": "on",
        "ssl_ca_file": f"{server.certificates}/ca.crt",
        "ssl_cert_file": f"{server.certificates}/server.crt",
        "ssl_key_file": f"{server.certificates}/server.key",
        "shared_preload_libraries": ", ".join(server.preload),
        # On from the first start, because turning it on later needs a restart.
        "archive_mode": "on",
        "archive_command": server.archive_command,
    }


def assemble(
    server: Owned, tuned: Mapping[str, _tuning.Tuned], given: Mapping[str, Any], version: str
) -> dict[str, Setting]:
    """Return every line of the server's configuration file; what the user gave wins over what is tuned."""
    computed = dict(tuned)
    for library in server.preload:
        computed |= OF_LIBRARIES.get(library, {})
    lines = {
        name: Setting(_parameters.render(name, item.value, version), item.reason) for name, item in computed.items()
    }
    lines |= {
        _parameters.canonical(name, version): Setting(
            _parameters.render(name, value, version), "postgresql_server_parameters"
        )
        for name, value in given.items()
    }
    lines |= {name: Setting(_parameters.quote(value)) for name, value in owned(server).items()}
    return dict(sorted(lines.items()))


def tuning_inputs(member: Json, cluster: Json, observed: Mapping[str, Json | None]) -> _tuning.Inputs:
    """Return what tuning looks at, for a database member that was observed."""
    return replace(_inputs(member, cluster, observed), cluster_floor=_cluster_floor(cluster, observed))


def _inputs(member: Json, cluster: Json, observed: Mapping[str, Json | None]) -> _tuning.Inputs:
    seen = observed[member["name"]] or {}
    host, data, wal = seen["host"], seen["disks"]["data"], seen["disks"]["wal"]
    given = member["parameters"].get("max_connections")
    memory = member["memory"]
    return _tuning.Inputs(
        memory_bytes=_units.parse_bytes(memory) if memory else host["cgroup_memory_bytes"] or host["memory_bytes"],
        cores=host["cores"],
        storage=member["storage"] or ("hdd" if data["rotational"] else "ssd"),
        workload=member["workload"],
        version=cluster["version"],
        data_disk_bytes=data["bytes"],
        wal_disk_bytes=wal["bytes"],
        wal_on_data_disk=data["mount"] == wal["mount"],
        database_hosts=len(_databases(cluster)),
        max_connections=int(given) if given is not None else None,
    )


def _cluster_floor(cluster: Json, observed: Mapping[str, Json | None]) -> dict[str, int]:
    """Return the largest value that any member asks for, of the parameters that a standby must not have lower.

    What a member asks for that was not observed is not known; it counted when the others got what they run with.
    """
    members = _databases(cluster)
    seen = [member for member in members if observed.get(member["name"])]
    asked = [_tuning.host_values(_inputs(member, cluster, observed)) for member in seen]
    asked += [member["parameters"] for member in members]
    if len(seen) < len(members):
        servers = [(observed[member["name"]] or {}).get("server") for member in seen]
        asked += [{name: item["value"] for name, item in server["settings"].items()} for server in servers if server]
    return _tuning.cluster_values(asked)


def _databases(cluster: Json) -> list[Json]:
    return [member for member in cluster["members"] if DATABASE in member["duties"]]
