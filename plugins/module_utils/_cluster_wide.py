# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables that belong to a whole cluster, whatever host they are read from."""

from __future__ import annotations

# What must be one for a whole cluster, and whether it is secret.
CLUSTER_WIDE = {
    "postgresql_version": False,
    "postgresql_port": False,
    "postgresql_application_networks": False,
    "postgresql_management_networks": False,
    "postgresql_administrators": True,
    "postgresql_applications": True,
    "postgresql_databases_destroy": False,
    "postgresql_adopt": False,
    "postgresql_backup_repositories": True,
    "postgresql_backup_suspended_repositories": False,
    "postgresql_backup_port": False,
    "postgresql_pooler_port": False,
    "postgresql_journal_directory": False,
    "postgresql_server_locale": False,
    "postgresql_server_locale_provider": False,
    "postgresql_replication_durability": False,
    "postgresql_replication_preferred_after": False,
    "postgresql_certificates_ca_directory": False,
    "postgresql_certificates_ca_lifetime_days": False,
    "postgresql_certificates_ca_passphrase": True,
}
