# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules that work on one instance document alike."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the instance lives."""

    DOCUMENTATION = r"""
options:
  version:
    description: Major version of PostgreSQL.
    type: str
    required: true
  cluster:
    description: Name of the cluster, as C(pg_lsclusters) shows it.
    type: str
    required: true
  port:
    description: TCP port of the instance; it names its local socket too.
    type: int
    default: 5432
  data_directory:
    description: Data directory of the instance.
    type: path
    required: true
  wal_directory:
    description: Directory of the WAL when it lies outside the data directory.
    type: path
"""
