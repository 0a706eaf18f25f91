# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters that a host's hardware and its work ask for, each with its reason.

Sources, named where they are used:

- PostgreSQL documentation, chapter "Server Configuration" (docs).
- PGTune, https://pgtune.leopard.in.ua: what it proposes for the same hardware and work (PGTune).
- A. Freund, "Measuring the Memory Overhead of a Postgres Connection", 2020 (Freund).

Everything here is a beginning: `postgresql_server_parameters` wins. Parameters that do not follow from the host
stand in `_tuning_fixed`.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from ansible_collections.steadfast.postgresql.plugins.module_utils import _units as units
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import STANDBY_MINIMA
from ansible_collections.steadfast.postgresql.plugins.module_utils._tuning_fixed import FIXED, MAX_CONNECTIONS
from ansible_collections.steadfast.postgresql.plugins.module_utils._units import GB, KB, MB

Workload = Literal["web", "oltp", "warehouse", "mixed"]
Storage = Literal["ssd", "hdd"]

HASH_MEM_MULTIPLIER: Final = 2  # PostgreSQL's own default since 15
_WORKERS_FOR_OTHERS: Final = 8  # of max_worker_processes: logical replication, pg_cron, extensions
_SEGMENT: Final = 16 * MB


@dataclass(frozen=True)
class Inputs:
    """What tuning looks at.

    Attributes:
        memory_bytes: Memory that PostgreSQL may use: what the user says, else the cgroup's limit, else the machine's.
        cores: Processor cores.
        storage: Kind of the disk of the data.
        workload: What the server does.
        version: Major version.
        data_disk_bytes: Size of the file system of the data directory.
        wal_disk_bytes: Size of the file system of pg_wal; the same number when it is the same file system.
        wal_on_data_disk: Whether pg_wal shares the file system of the data.
        database_hosts: Database hosts of the cluster, this one included.
        max_connections: What the user wants; None for the default.
        cluster_floor: What `cluster_values` says of the whole cluster: nothing here is lower.
    """

    memory_bytes: int
    cores: int
    storage: Storage
    workload: Workload
    version: str
    data_disk_bytes: int
    wal_disk_bytes: int
    wal_on_data_disk: bool = True
    database_hosts: int = 1
    max_connections: int | None = None
    cluster_floor: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Tuned:
    """A parameter's value, unquoted, and why it is that."""

    value: str
    reason: str


@dataclass(frozen=True)
class Memory:
    """How the memory of a host is shared out, in bytes; the parts together are at most the whole."""

    whole: int
    system: int
    shared_buffers: int
    shared_rest: int
    sessions: int
    backends: int
    work_mem: int
    maintenance_work_mem: int
    autovacuum_work_mem: int
    autovacuum_workers: int

    @property
    def used(self) -> int:
        """The most that the plan uses when every session sorts and hashes at once."""
        return (
            self.system
            + self.shared_buffers
            + self.shared_rest
            + self.backends
            + self.sessions * self.work_mem * HASH_MEM_MULTIPLIER
            + self.maintenance_work_mem
            + self.autovacuum_workers * self.autovacuum_work_mem
        )


def host_values(inputs: Inputs) -> dict[str, int]:
    """What one host asks of the five parameters that no standby may have lower than its primary.

    Only a host with more than 24 cores asks for anything that its hardware decides.
    """
    return {
        "max_connections": inputs.max_connections or MAX_CONNECTIONS,
        "max_worker_processes": max(32, inputs.cores + _WORKERS_FOR_OTHERS),
        "max_wal_senders": _senders(inputs),
        "max_prepared_transactions": 0,
        "max_locks_per_transaction": 128,
    }


def cluster_values(per_host: Iterable[Mapping[str, int | str]]) -> dict[str, int]:
    """The largest of what all hosts ask for: the floor that `tuned` keeps on each of them.

    Args:
        per_host: `host_values` of each host, the user's parameters, what runs now: any number of each.
    """
    result: dict[str, int] = {}
    for values in per_host:
        for name in STANDBY_MINIMA:
            if name in values:
                result[name] = max(result.get(name, 0), units.parse_integer(str(values[name])))
    return result


def memory_plan(inputs: Inputs) -> Memory:
    """Share out the memory of a host.

    - Memory counts in steps of 1/32 of its power of two, so that a kernel which reports a few megabytes less after an
      update changes no parameter.
    - 10 %, at least 64 MB, stay with the system.
    - shared_buffers: a quarter (docs: 25 % from 1 GB on, less below), an eighth at 512 MB.
    - Other shared memory (measured with shared_memory_size of 16.14: 23 MB at 16 MB of shared_buffers, 129 MB at 4 GB):
      locks and processes by connections, buffer headers and WAL buffers by shared_buffers.
    - A connection costs below 2 MB of its own (Freund); on hosts below 2 GB 1/1024 of the memory is counted.
    - maintenance_work_mem: 1/16, in a warehouse 1/8, at most 2 GB (PGTune).
    - autovacuum_work_mem: 1/64 for each worker, at most 512 MB (docs: without it each takes maintenance_work_mem).
    - work_mem: what is left, over all sessions and parallel workers, each with one hash table of
      hash_mem_multiplier x work_mem at once (docs: a session may use it several times; few do at the same moment).
    """
    memory = _stepped(inputs.memory_bytes)
    system = max(64 * MB, memory // 10)
    shared = memory // 4 if memory >= GB else memory // 8 + max(0, memory - 512 * MB) // 4
    shared = max(16 * MB, _rounded(shared))
    maintenance = min(2 * GB, memory // (8 if inputs.workload == "warehouse" else 16))
    maintenance = max(16 * MB, _rounded(maintenance))
    workers = min(max(3, inputs.cores // 4), 8)
    autovacuum = min(512 * MB, max(4 * MB, _rounded(memory // 64)))
    connections = _cluster_wide(inputs)["max_connections"]
    sessions = connections + _parallel_workers(inputs)
    backends = sessions * min(2 * MB, memory // 1024)
    rest = 12 * MB + connections * 64 * KB + shared // 32 + min(16 * MB, shared // 32)
    left = memory - system - shared - rest - maintenance - workers * autovacuum - backends
    highest = {"web": 64 * MB, "oltp": 64 * MB, "mixed": 256 * MB, "warehouse": GB}[inputs.workload]
    work = min(highest, max(left, 0) // (sessions * HASH_MEM_MULTIPLIER))
    work = work // MB * MB if work >= 4 * MB else max(1, work // (64 * KB)) * 64 * KB
    return Memory(
        whole=inputs.memory_bytes,
        system=system,
        shared_buffers=shared,
        shared_rest=rest,
        sessions=sessions,
        backends=backends,
        work_mem=work,
        maintenance_work_mem=maintenance,
        autovacuum_work_mem=autovacuum,
        autovacuum_workers=workers,
    )


def shortage(inputs: Inputs) -> str:
    """Say why the connections do not fit into the memory, with what would; empty when they do."""
    if _fits(inputs):
        return ""
    connections = _cluster_wide(inputs)["max_connections"]
    text = f"max_connections {connections} do not fit into {units.size(inputs.memory_bytes // MB * MB)} of memory"
    fitting = bisect.bisect_left(
        range(1, connections), True, key=lambda n: not _fits(replace(inputs, max_connections=n, cluster_floor={}))
    )
    return f"{text}; write {fitting} or less, or give the host more" if fitting > 0 else f"{text}; give the host more"


def tuned(inputs: Inputs) -> dict[str, Tuned]:
    """All parameters that the collection sets by default on a host, in the order of the documentation's chapters."""
    result: dict[str, Tuned] = {}
    for part in (_connections, _memory, _processes, _wal, _replication, _planner, _vacuum):
        result |= part(inputs)
    return result | {name: Tuned(value, reason) for name, (value, reason) in FIXED.items()}


def _connections(inputs: Inputs) -> dict[str, Tuned]:
    values = _cluster_wide(inputs)
    reasons = {
        "max_connections": "a value of the cluster; work_mem shrinks with it",
        "max_worker_processes": "a value of the cluster; max_parallel_workers follows the cores",
        "max_wal_senders": "to stream and to clone for each standby, backups besides; a value of the cluster",
        "max_prepared_transactions": "two-phase commit is off: forgotten transactions stop vacuum",
        "max_locks_per_transaction": "partitions and schemas of tenants: many tables at once; a value of the cluster",
    }
    return {name: Tuned(str(values[name]), reasons[name]) for name in STANDBY_MINIMA}


def _memory(inputs: Inputs) -> dict[str, Tuned]:
    plan = memory_plan(inputs)
    whole = units.size(_stepped(inputs.memory_bytes))
    quarter = "a quarter" if _stepped(inputs.memory_bytes) >= GB else "a small part"
    return {
        "shared_buffers": Tuned(units.size(plan.shared_buffers), f"{quarter} of {whole} (PostgreSQL documentation)"),
        "effective_cache_size": Tuned(
            units.size(max(8 * KB, _stepped(inputs.memory_bytes) * 3 // 4 // MB * MB)),
            f"three quarters of {whole}: shared buffers and the system's cache (PGTune)",
        ),
        "work_mem": Tuned(
            units.size(plan.work_mem), f"what {plan.sessions} sessions can have at once, hash tables twice that"
        ),
        "hash_mem_multiplier": Tuned(str(HASH_MEM_MULTIPLIER), "work_mem counts on it"),
        "maintenance_work_mem": Tuned(
            units.size(plan.maintenance_work_mem), "part of the memory, at most 2GB (PGTune)"
        ),
        "autovacuum_work_mem": Tuned(
            units.size(plan.autovacuum_work_mem), f"each of {plan.autovacuum_workers} workers, 1/64 of the memory"
        ),
        "huge_pages": Tuned("try", "used when the kernel has reserved some"),
    }


def _processes(inputs: Inputs) -> dict[str, Tuned]:
    """Parallel workers by cores (PGTune: as many as cores; half of them for one query, few where queries are short)."""
    half = inputs.cores // 2
    highest = {"web": 2, "oltp": 2, "mixed": 4, "warehouse": 16}[inputs.workload]
    cores = f"{inputs.cores} cores"
    return {
        "max_parallel_workers": Tuned(str(_parallel_workers(inputs)), cores),
        "max_parallel_workers_per_gather": Tuned(str(min(highest, half)), f"{cores}, {inputs.workload} (PGTune)"),
        "max_parallel_maintenance_workers": Tuned(str(min(4, half)), f"{cores} (PGTune)"),
    }


def _wal(inputs: Inputs) -> dict[str, Tuned]:
    """Sizes by workload (PGTune), bounded by the disk of the WAL.

    Of a disk that the data share, at most 10 % for max_wal_size, 20 % for slots, 5 % for wal_keep_size; of a disk of
    its own 20, 40 and 10 %. The rest is for the data, or for segments that the archive does not take at once.
    """
    disk = inputs.wal_disk_bytes
    share = 1 if inputs.wal_on_data_disk else 2
    highest, lowest = {"web": (4, 1), "oltp": (8, 2), "warehouse": (16, 4), "mixed": (4, 1)}[inputs.workload]
    largest = _segments(min(highest * GB, disk * share // 10), at_least=4)
    smallest = _segments(min(lowest * GB, largest // 2), at_least=2)
    slots = _segments(min(128 * GB, disk * share // 5), at_least=4)
    keep = _segments(min(8 * GB, disk * share // 20), at_least=2)
    where = "the disk that data and WAL share" if inputs.wal_on_data_disk else "the WAL's own disk"
    return {
        "max_wal_size": Tuned(units.size(largest), f"{inputs.workload}, within {10 * share} % of {where} (PGTune)"),
        "min_wal_size": Tuned(units.size(smallest), "segments kept for reuse (PGTune)"),
        "max_slot_wal_keep_size": Tuned(
            units.size(slots), f"a standby that is away may hold this much, {20 * share} % of {where}, at most 128GB"
        ),
        "wal_keep_size": Tuned(units.size(keep), f"bridges a standby without its slot, {5 * share} % of {where}"),
    }


def _replication(inputs: Inputs) -> dict[str, Tuned]:
    timeout = Tuned("6s", "a frozen peer is noticed within seconds")
    return {
        "max_replication_slots": Tuned(
            str(_senders(inputs)), "one for each standby, and some to spare: more need a restart"
        ),
        "wal_sender_timeout": timeout,
        "wal_receiver_timeout": timeout,
    }


def _planner(inputs: Inputs) -> dict[str, Tuned]:
    """Costs by the kind of disk (docs, PGTune), statistics and JIT by workload."""
    fast = inputs.storage == "ssd"
    warehouse = inputs.workload == "warehouse"
    return {
        "random_page_cost": Tuned("1.1" if fast else "4", f"{inputs.storage} (PGTune)"),
        "effective_io_concurrency": Tuned("200" if fast else "2", f"{inputs.storage} (PGTune)"),
        "default_statistics_target": Tuned("500" if warehouse else "100", f"{inputs.workload} (PGTune)"),
        "jit": Tuned(
            "on" if warehouse else "off",
            "long queries repay the compilation" if warehouse else "compiling costs short queries more than it gains",
        ),
    }


def _vacuum(inputs: Inputs) -> dict[str, Tuned]:
    """Vacuum early and often: the default of a fifth of a table lets large ones bloat (docs, "Automatic Vacuuming")."""
    fast = inputs.storage == "ssd"
    scale = {"oltp": "0.02", "web": "0.05", "mixed": "0.05", "warehouse": "0.1"}[inputs.workload]
    return {
        "autovacuum_max_workers": Tuned(str(memory_plan(inputs).autovacuum_workers), f"{inputs.cores} cores"),
        "autovacuum_vacuum_cost_limit": Tuned(
            "1000" if fast else "400", f"{inputs.storage}; the default of 200 is shared by all workers"
        ),
        "autovacuum_vacuum_scale_factor": Tuned(
            scale, f"{inputs.workload}; the default of 0.2 lets large tables bloat"
        ),
        "autovacuum_vacuum_insert_scale_factor": Tuned(scale, "also keeps index-only scans of append-only tables fast"),
        "autovacuum_analyze_scale_factor": Tuned(scale, f"{inputs.workload}; the default is 0.1"),
    }


def _cluster_wide(inputs: Inputs) -> dict[str, int]:
    """The five parameters: constants, and the cluster's floor.

    A host's cores count through the floor alone, so that members of different size agree.
    """
    constants = host_values(inputs) | {"max_worker_processes": 32}
    return {name: max(value, inputs.cluster_floor.get(name, 0)) for name, value in constants.items()}


def _fits(inputs: Inputs) -> bool:
    plan = memory_plan(inputs)
    return plan.used <= plan.whole


def _rounded(amount: int) -> int:
    """Round down to what reads well, finer where a megabyte is much."""
    step = MB if amount >= 64 * MB else 256 * KB
    return amount // step * step


def _senders(inputs: Inputs) -> int:
    """Two for each standby and some for backups; enough for six hosts, because more need a restart of the primary."""
    return max(16, 2 * (inputs.database_hosts - 1) + 6)


def _parallel_workers(inputs: Inputs) -> int:
    return max(1, min(inputs.cores, _cluster_wide(inputs)["max_worker_processes"] - _WORKERS_FOR_OTHERS))


def _segments(amount: int, at_least: int) -> int:
    """Round down to whole WAL segments."""
    return max(at_least, amount // _SEGMENT) * _SEGMENT


def _stepped(memory: int) -> int:
    """Round down to a step of 1/32 of the power of two below."""
    step = max(1, 1 << max(0, memory.bit_length() - 6))
    return memory // step * step
