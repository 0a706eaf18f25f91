# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one statement that reads all that a running server says about itself, as JSON."""

from __future__ import annotations

from ansible_collections.steadfast.postgresql.plugins.module_utils import _service_roles

# What stands in the files and what runs, of each setting that waits for a restart; one that is gone from the files
# goes back to its default.
PENDING = """
(SELECT coalesce(json_object_agg(name,
   json_build_object('running', current_setting(name), 'configured', setting)), '{}')
 FROM (SELECT DISTINCT ON (name) name, coalesce(file.setting, boot_val, '') AS setting
       FROM pg_settings LEFT JOIN pg_file_settings AS file USING (name)
       WHERE pending_restart ORDER BY name, seqno DESC) AS waiting)
"""

# What the configuration that somebody else wrote lets in, and who is in: read once, of a cluster to be taken over.
FORMER = r"""
SELECT json_build_object(
  'rules', (SELECT coalesce(json_agg(json_build_object('type', type, 'database', database, 'user_name', user_name,
      'address', address, 'netmask', netmask, 'method', auth_method) ORDER BY line_number), '[]')
    FROM pg_hba_file_rules WHERE error IS NULL),
  'clients', (SELECT coalesce(json_agg(client ORDER BY address, "user", database, name), '[]')
    FROM (SELECT DISTINCT usename AS "user", host(client_addr) AS address, coalesce(datname, '') AS database,
            CASE WHEN backend_type = 'walsender' THEN application_name ELSE '' END AS name,
            backend_type = 'walsender' AS replication, ssl AS tls, client_dn IS NOT NULL AS certificate,
            coalesce(rolpassword LIKE 'SCRAM-SHA-256$%', false) AS scram
          FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) JOIN pg_authid ON pg_authid.oid = usesysid
          WHERE client_addr IS NOT NULL AND backend_type IN ('client backend', 'walsender')) AS client)
)
"""

# Each error as "FILE line NUMBER: what is wrong". The same words stand for a value that is wrong and for a change that
# waits for a restart, which is none; only settings that no start needs tell them apart. A setting that is gone has no
# file.
FILE_ERRORS = """
(SELECT coalesce(json_agg(sourcefile || ' line ' || sourceline || ': ' || coalesce(name || ': ', '') || error
   ORDER BY seqno), '[]')
 FROM pg_file_settings AS line
 WHERE error IS NOT NULL AND sourcefile IS NOT NULL AND NOT (error = 'setting could not be applied'
   AND EXISTS (SELECT FROM pg_settings WHERE pg_settings.name = line.name AND context = 'postmaster')))
"""
RULE_ERRORS = """
(SELECT coalesce(json_agg(file_name || ' line ' || line_number || ': ' || error ORDER BY file_name, line_number), '[]')
 FROM (SELECT file_name, line_number, error FROM pg_hba_file_rules
       UNION ALL SELECT file_name, line_number, error FROM pg_ident_file_mappings) AS rules
 WHERE error IS NOT NULL)
"""

# A promoted server's control data shows the old timeline until its first checkpoint, so a primary's comes from
# the name of its current WAL file; a standby's from whatever of its receiver, its control data and its WAL files (which
# only the host sees) is ahead.
OBSERVE = r"""
WITH state AS MATERIALIZED (
  SELECT pg_is_in_recovery() AS in_recovery
), position AS MATERIALIZED (
  SELECT CASE WHEN in_recovery THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END AS lsn,
         CASE WHEN in_recovery THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_flush_lsn() END AS flush_lsn,
         CASE WHEN in_recovery THEN greatest(
                (SELECT received_tli FROM pg_stat_wal_receiver),
                (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
                (SELECT timeline_id FROM pg_control_checkpoint()))
              ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END AS timeline
  FROM state
)
SELECT json_build_object(
  'version', split_part(current_setting('server_version'), ' ', 1),
  'version_num', current_setting('server_version_num')::int,
  'started_at', extract(epoch FROM pg_postmaster_start_time()),
  'conf_loaded_at', extract(epoch FROM pg_conf_load_time()),
  'in_recovery', in_recovery,
  'data_directory', current_setting('data_directory'),
  'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
  'timeline', timeline,
  'segment_bytes', (SELECT bytes_per_wal_segment FROM pg_control_init()),
  'lsn', lsn,
  'receive_lsn', CASE WHEN in_recovery THEN pg_last_wal_receive_lsn() END,
  'flush_lsn', flush_lsn,
  'replay_lag_seconds', CASE WHEN in_recovery
    THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END,
  'locale_provider', (SELECT CASE datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' ELSE 'builtin' END
    FROM pg_database WHERE datname = 'template1'),
  'locale', (SELECT datcollate FROM pg_database WHERE datname = 'template1'),
  'databases', (SELECT json_agg(datname ORDER BY datname) FROM pg_database),
  'database_bytes', (SELECT sum(pg_database_size(oid)) FROM pg_database),
  'settings', (SELECT json_object_agg(name, json_build_object('value', setting, 'unit', unit, 'source', source,
      'sourcefile', sourcefile, 'context', context, 'pending_restart', pending_restart) ORDER BY name)
    -- A name with a dot belongs to a library, of which no catalogue says what a change of it needs.
    FROM pg_settings WHERE source NOT IN ('default', 'client', 'session', 'override') OR pending_restart
      OR name LIKE '%.%'
      OR name IN ('max_connections', 'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions',
                  'max_locks_per_transaction', 'synchronous_standby_names', 'primary_conninfo', 'primary_slot_name')),
  'file_errors', @FILE_ERRORS@,
  'rule_errors', @RULE_ERRORS@,
  'pending', @PENDING@,
  'slots', (SELECT coalesce(json_object_agg(slot_name, json_build_object('active', active, 'wal_status', wal_status,
      'retained_bytes', CASE WHEN restart_lsn IS NOT NULL THEN pg_wal_lsn_diff(lsn, restart_lsn) END)
      ORDER BY slot_name), '{}') FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT temporary),
  -- A reconnecting standby can show twice for a moment: the aggregate's last, the streaming one, stays.
  'replication', (SELECT coalesce(json_object_agg(application_name, json_build_object('state', state,
      'sync_state', sync_state, 'address', host(client_addr), 'tls', version,
      -- What replayed meanwhile is ahead of what was read first.
      'lag_bytes', CASE WHEN NOT in_recovery THEN greatest(0, pg_wal_lsn_diff(lsn, replay_lsn)) END,
      'replay_lag_seconds', extract(epoch FROM replay_lag)) ORDER BY (state = 'streaming'), pid), '{}')
    FROM pg_stat_replication LEFT JOIN pg_stat_ssl USING (pid) WHERE application_name <> 'pg_basebackup'),
  'receiver', (SELECT json_build_object('status', status, 'sender_host', sender_host, 'slot', slot_name,
      'timeline', received_tli,
      'message_age_seconds', extract(epoch FROM clock_timestamp() - last_msg_receipt_time))
    FROM pg_stat_wal_receiver),
  'archiver', (SELECT json_build_object('archived', archived_count, 'last_archived', last_archived_wal,
      'last_archived_at', extract(epoch FROM last_archived_time), 'failed', failed_count,
      'last_failed', last_failed_wal, 'last_failed_at', extract(epoch FROM last_failed_time)) FROM pg_stat_archiver),
  'weak_commits', (SELECT coalesce(json_agg(concat_ws(' ', CASE WHEN setrole <> 0 THEN 'role ' || setrole::regrole END,
      CASE WHEN setdatabase <> 0 THEN 'database ' || (SELECT quote_ident(datname) FROM pg_database
        WHERE oid = setdatabase) END) || ': ' || setting ORDER BY setdatabase, setrole), '[]')
    FROM pg_db_role_setting, unnest(setconfig) AS setting
    WHERE setting ~* '^synchronous_commit=' AND setting !~* '=(on|remote_apply|true|yes|1)$'),
  -- Of a primary the module databases asks at the moment when it needs to know.
  'sessions', (SELECT coalesce(json_agg(json_build_array(usename, coalesce(host(client_addr), ''), number)), '[]')
    FROM (SELECT usename, client_addr, count(*) AS number FROM pg_stat_activity
          WHERE backend_type = 'client backend' AND pg_is_in_recovery() GROUP BY 1, 2) AS session),
  'roles', (SELECT json_object_agg(rolname, json_build_object('superuser', rolsuper, 'replication', rolreplication,
      'login', rolcanlogin, 'groups', (SELECT coalesce(json_agg(DISTINCT roleid::regrole::text), '[]')
        FROM pg_auth_members WHERE member = pg_roles.oid)) ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^pg_'),
  'services', (@SERVICES@)
) FROM state, position
"""
OBSERVE = (
    OBSERVE.replace("@PENDING@", PENDING)
    .replace("@FILE_ERRORS@", FILE_ERRORS)
    .replace("@RULE_ERRORS@", RULE_ERRORS)
    .replace("@SERVICES@", _service_roles.SEEN)
)
