# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters that are the same on every host: durability, replication, security, logging; each with its reason.

`postgresql.conf` is written whole, so what initdb or the distribution would have put there and users count on (time
zone, text search configuration, socket folder) stands here as well.
"""

from __future__ import annotations

from typing import Final

_WAL: Final = {
    "wal_level": ("replica", "archive and standbys"),
    "wal_log_hints": ("on", "pg_rewind on an adopted cluster without checksums; with checksums it changes nothing"),
    "wal_compression": ("pglz", "less WAL over the network; the method that every build has"),
    "checkpoint_timeout": ("15min", "fewer full-page images; max_wal_size bounds crash recovery"),
    "checkpoint_completion_target": ("0.9", "spread the writes"),
    "archive_timeout": ("60s", "an idle server loses at most a minute"),
}

_REPLICATION: Final = {
    "hot_standby": ("on", "standbys answer readers and checks"),
    # Without it a reader on a standby either is cancelled or holds replay back, and a promotion must first catch up;
    # the price is that a long reader delays vacuum on the primary.
    "hot_standby_feedback": ("on", "readers on standbys are not cancelled and do not hold replay back"),
    "max_standby_streaming_delay": ("10s", "what waits in replay waits at a promotion as well"),
    "wal_receiver_status_interval": ("1s", "lag is known to the second, feedback is fresh"),
    "wal_retrieve_retry_interval": ("200ms", "a promotion does not wait 5 s for the next attempt"),
}

_NETWORK: Final = {
    "tcp_keepalives_idle": ("10s", "a dead client is noticed within 25 s"),
    "tcp_keepalives_interval": ("5s", "see tcp_keepalives_idle"),
    "tcp_keepalives_count": ("3", "see tcp_keepalives_idle"),
    "tcp_user_timeout": ("30s", "what is sent to a dead peer does not wait for a quarter of an hour"),
    "unix_socket_directories": ("/var/run/postgresql", "where Debian's tools look; builds differ in their default"),
    "unix_socket_permissions": ("0770", "root and the group postgres; pg_hba.conf lets nobody else in there"),
}

_SECURITY: Final = {
    "password_encryption": ("scram-sha-256", "the only password method in pg_hba.conf"),
    "ssl": ("on", "no plaintext over the network"),
    "ssl_min_protocol_version": ("TLSv1.2", "1.3 is preferred by both ends"),
    "ssl_ciphers": ("HIGH:!aNULL", "for TLS 1.2: no weak and no anonymous ciphers"),
    "ssl_prefer_server_ciphers": ("on", "the server chooses"),
}

# To standard error, which Debian's service writes to /var/log/postgresql and its logrotate rotates: pg_ctlcluster
# shows it when a start fails, log tools and shippers know the place, and no collector process stands between.
_LOGGING: Final = {
    "log_destination": ("stderr", "Debian's service writes it to /var/log/postgresql, logrotate keeps it small"),
    "logging_collector": ("off", "see log_destination"),
    # pgBadger recognises this form by itself.
    "log_line_prefix": ("%m [%p]: user=%u,db=%d,app=%a,client=%h ", "log tools parse it"),
    "log_timezone": ("UTC", "one clock in all logs"),
    "lc_messages": ("C", "log tools parse English"),
    "log_connections": ("on", "audit"),
    "log_disconnections": ("on", "audit"),
    "log_statement": ("ddl", "audit"),
    "log_replication_commands": ("on", "audit"),
    "log_lock_waits": ("on", "waits longer than deadlock_timeout"),
    "log_recovery_conflict_waits": ("on", "replay that waits for a reader"),
    "log_checkpoints": ("on", "write load"),
    "log_autovacuum_min_duration": ("10s", "vacuums that last"),
    "log_temp_files": ("10MB", "sorts and hashes beyond work_mem"),
    "track_io_timing": ("on", "how long reads and writes take"),
}

_SESSIONS: Final = {
    "TimeZone": ("UTC", "sessions that set none agree on all hosts"),
    "default_text_search_config": ("pg_catalog.english", "what initdb sets for the default locale"),
}

# What the users asked for; a value of the cluster, so no host's size decides it.
MAX_CONNECTIONS: Final = 200

FIXED: Final[dict[str, tuple[str, str]]] = _WAL | _REPLICATION | _NETWORK | _SECURITY | _LOGGING | _SESSIONS
