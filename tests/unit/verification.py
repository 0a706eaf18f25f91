# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify a platform of `whole`, for the tables of the verification."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _given, _topology, _verify
from ansible_collections.steadfast.postgresql.plugins.module_utils._verify import Outcome
from whole import NOW


def judged(hosts: Any, **changes: Any) -> list[str]:
    """Verify a platform; changes are those of the outcome."""
    given = whole.given("db1", hosts)
    return verified(given, **changes)


def verified(given: _given.Given, **changes: Any) -> list[str]:
    topology = _topology.decide(_given.facts(given), _given.observations(given.observed))
    outcome = Outcome(
        cluster="main",
        primary=topology.primary,
        durability=given.cluster["durability"],
        databases=["db1", "db2", "db3"],
        seen={name: seen for name, seen in given.observed.items() if seen},
        administrators=given.cluster["administrators"],
        now=NOW,
    )
    findings = _verify.verify(replace(outcome, **changes), topology)
    return [f"{found.severity} {found.host}: {found.text} {found.advice}" for found in findings]


def at(host: str, part: str | None, **values: Any) -> _given.Given:
    """A converged platform whose host was seen otherwise, in one part of its observation."""
    given = whole.given("db1")
    seen = whole.seen(given, host)
    (seen[part] if part else seen).update(values)
    return given
