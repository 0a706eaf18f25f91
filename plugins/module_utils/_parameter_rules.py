# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this collection says about parameters beyond PostgreSQL's own catalogue, as tables."""

from __future__ import annotations

from typing import Final

# The collection sets these: a second place to set them would be a second truth. Value: what to do instead.
_SERVER = "leave it out: the role server places this file"
_CERTIFICATES = "write postgresql_certificates_provided instead"
_REPLICATION = "leave it out: the role replication renders it from the members"
_ARCHIVE = "leave it out: the roles server and backup set archiving"
_RESTORE = "leave it out: a restore sets it"
OWNED: Final[dict[str, str]] = {
    "archive_cleanup_command": _ARCHIVE,
    "archive_command": _ARCHIVE,
    "archive_library": _ARCHIVE,
    "archive_mode": _ARCHIVE,
    "cluster_name": "write postgresql_cluster_name instead",
    "config_file": _SERVER,
    "data_directory": "write postgresql_server_data_directory instead",
    "external_pid_file": _SERVER,
    "hba_file": "write postgresql_server_hba_rules instead",
    "ident_file": _SERVER,
    "listen_addresses": "write postgresql_server_listen_addresses instead",
    "port": "write postgresql_port instead",
    "primary_conninfo": _REPLICATION,
    "primary_slot_name": _REPLICATION,
    "recovery_end_command": _RESTORE,
    "recovery_target": _RESTORE,
    "recovery_target_action": _RESTORE,
    "recovery_target_inclusive": _RESTORE,
    "recovery_target_lsn": _RESTORE,
    "recovery_target_name": _RESTORE,
    "recovery_target_time": _RESTORE,
    "recovery_target_timeline": _RESTORE,
    "recovery_target_xid": _RESTORE,
    "restore_command": _ARCHIVE,
    "shared_preload_libraries": "write postgresql_server_preload_libraries instead",
    "ssl_ca_file": _CERTIFICATES,
    "ssl_cert_file": _CERTIFICATES,
    "ssl_key_file": _CERTIFICATES,
    "synchronous_standby_names": "write postgresql_replication_durability instead",
    "unix_socket_directories": "leave it out: packages and playbooks look for the socket in /var/run/postgresql",
}

# Values that PostgreSQL takes and this platform does not: the values, why, what to write.
_TLS = (frozenset({"TLSv1", "TLSv1.1"}), "would offer TLS below 1.2", "TLSv1.2 or TLSv1.3")
_CORRUPTION = (frozenset({"on"}), "would hide corruption", "off, and set it in the one session that rescues data")
_WAITS = "postgresql_replication_durability to change what is promised, or set it in a session that can lose commits"
REFUSED: Final[dict[str, tuple[frozenset[str], str, str]]] = {
    "allow_in_place_tablespaces": (frozenset({"on"}), "is for the tests of PostgreSQL itself", "off"),
    "data_sync_retry": (frozenset({"on"}), "can lose data after a failed flush", "off"),
    "fsync": (frozenset({"off"}), "loses the cluster when the host crashes", "on"),
    "full_page_writes": (frozenset({"off"}), "loses pages when the host crashes", "on"),
    "hot_standby": (frozenset({"off"}), "would close the standbys to every check and reader", "on"),
    "ignore_checksum_failure": _CORRUPTION,
    "ignore_invalid_pages": _CORRUPTION,
    "max_slot_wal_keep_size": (
        frozenset({"-1"}),
        "would let a standby that is away fill the disk",
        "a size that the disk of the WAL can hold beside the rest",
    ),
    "password_encryption": (frozenset({"md5"}), "is not accepted by any rule of pg_hba.conf here", "scram-sha-256"),
    "ssl": (frozenset({"off"}), "would end every connection but the local socket's", "on"),
    "ssl_max_protocol_version": _TLS,
    "ssl_min_protocol_version": _TLS,
    "synchronous_commit": (
        frozenset({"off", "local", "remote_write"}),
        "breaks the promise that an acknowledged commit is on a second host",
        _WAITS,
    ),
    "wal_level": (frozenset({"minimal"}), "has no archive and no standby", "replica or logical"),
    "zero_damaged_pages": _CORRUPTION,
}

# Parameters that are gone since a version that many guides were written for.
REMOVED: Final[dict[str, str]] = {
    "checkpoint_segments": "write max_wal_size instead",
    "force_parallel_mode": "write debug_parallel_query instead",
    "promote_trigger_file": "leave it out: promotion is a playbook",
    "stats_temp_directory": "leave it out: statistics live in shared memory",
    "vacuum_defer_cleanup_age": "write hot_standby_feedback instead",
    "wal_keep_segments": "write wal_keep_size instead",
}

# The library that defines the parameters with this prefix, where the names differ.
LIBRARIES: Final[dict[str, str]] = {
    "cron": "pg_cron",
    "squeeze": "pg_squeeze",
}

# Libraries that a session loads when it needs them: their parameters need no preloading.
LOADED_ON_USE: Final = frozenset({"pg_trgm", "plperl", "plpgsql", "plpython3u", "pltcl", "postgres_fdw"})

# Texts that are lists; pg_settings does not say so.
LISTS: Final = frozenset(
    {
        "createrole_self_grant",
        "DateStyle",
        "debug_io_direct",
        "local_preload_libraries",
        "log_destination",
        "output_plugin_libraries",
        "pgaudit.log",
        "plpgsql.extra_errors",
        "plpgsql.extra_warnings",
        "restrict_nonsystem_relation_kind",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "synchronized_standby_slots",
        "temp_tablespaces",
        "unix_socket_directories",
        "wal_consistency_checking",
    }
)

# What may stand in a list, where it is a closed set.
KEYWORDS: Final[dict[str, tuple[str, ...]]] = {
    "createrole_self_grant": ("set", "inherit"),
    "log_destination": ("stderr", "csvlog", "jsonlog", "syslog"),
}

# Texts that PostgreSQL compares without regard to case.
CASELESS: Final = frozenset({"client_encoding", "DateStyle", "log_destination", "log_timezone", "TimeZone"})

# Values that an enum takes and does not list, and listed ones that are shown under another name.
ALIASES: Final[dict[str, dict[str, str]]] = {
    "wal_compression": {"on": "pglz"},
    "wal_level": {"archive": "replica", "hot_standby": "replica"},
}
BOOLEAN_WORDS: Final[dict[str, str]] = {
    "true": "on",
    "yes": "on",
    "1": "on",
    "false": "off",
    "no": "off",
    "0": "off",
}

# Numbers within the range (first, last, in the parameter's unit) that the server refuses or raises without a word,
# and what to write.
HOLES: Final[dict[str, tuple[int, int, str]]] = {
    "autovacuum_work_mem": (0, 1023, "-1 or 1MB and more"),
    "vacuum_buffer_usage_limit": (1, 127, "0 or a size from 128kB to 16GB"),
    "max_wal_size": (2, 31, "32MB or more: two WAL segments"),
    "min_wal_size": (2, 31, "32MB or more: two WAL segments"),
    "wal_buffers": (0, 3, "-1 or 32kB and more"),
}

# Numbers must be a multiple of this, in the parameter's unit.
MULTIPLES: Final[dict[str, int]] = {
    "commit_timestamp_buffers": 16,
    "multixact_member_buffers": 16,
    "multixact_offset_buffers": 16,
    "notify_buffers": 16,
    "serializable_buffers": 16,
    "subtransaction_buffers": 16,
    "transaction_buffers": 16,
}

# The configured number that the server replaces by one of its own choice.
AUTOMATIC: Final[dict[str, int]] = {"wal_buffers": -1}
