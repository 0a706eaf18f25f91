# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What replication and administration need inside the primary: login roles, slots, the synchronous set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _scram,
    _service_roles,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._members import ADMINISTRATOR_GROUPS
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import (
    CommandError,
    Instance,
    change,
    identifier,
    query,
    query_json,
    query_secretly,
    quoted,
    run,
    wait_until,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._service_roles import Services
from ansible_collections.steadfast.postgresql.plugins.module_utils._synchronous import StandbyNames

Changes = list[dict[str, str]]

SYNCHRONOUS = "/usr/local/lib/steadfast/synchronous"

ROLES = """
SELECT coalesce(json_object_agg(rolname, json_build_object('superuser', rolsuper, 'login', rolcanlogin,
  'verifier', rolpassword,
  'comment', coalesce(shobj_description(oid, 'pg_authid'), ''),
  'groups', (SELECT coalesce(json_agg(parent.rolname), '[]')
     FROM pg_auth_members JOIN pg_roles AS parent ON parent.oid = roleid WHERE member = pg_authid.oid))), '{}')
FROM pg_authid
"""
SLOTS = "SELECT coalesce(json_agg(slot_name), '[]') FROM pg_replication_slots WHERE slot_type = 'physical'"
STREAMING = """
SELECT coalesce(json_agg(application_name), '[]') FROM pg_stat_replication WHERE state = 'streaming'
"""
# The control data of a server that was just promoted still has the old timeline.
POSITION = """
SELECT CASE WHEN pg_is_in_recovery() THEN '{}' ELSE json_build_object('lsn', pg_current_wal_insert_lsn(),
  'timeline', ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int) END
"""


def accounts(
    instance: Instance, administrators: Sequence[Mapping[str, Any]], services: Services, check_mode: bool
) -> Changes:
    """Create or repair the login roles of administrators, of replication, of backups and of poolers.

    Args:
        instance: the primary.
        administrators: mappings with name and password.
        services: whose roles are wanted.
        check_mode: only say what would change.
    """
    answers = _answers(instance, check_mode)
    if not answers and instance.holds_data:
        return []  # a check does not start it, so nobody knows what is in it
    roles: Mapping[str, Any] = query_json(instance, ROLES) if answers else {}
    statements: list[str] = []
    changes: Changes = []
    wanted = [_administrator(roles.get(account["name"]), account) for account in administrators]
    seen = query_json(instance, _service_roles.SEEN) if answers else _service_roles.NOTHING
    wanted += _service_roles.mend(seen, services)
    for sql, made in wanted:
        statements += sql
        changes += made
    if statements and not check_mode:
        query_secretly(instance, f"BEGIN; {'; '.join(statements)}; COMMIT;")
    return changes


def slots(instance: Instance, create: Sequence[str], drop: Sequence[str], check_mode: bool) -> Changes:
    """Create and drop physical replication slots; a slot that is there or gone already is no change.

    Of a server that this run would start, check mode knows what was seen on the disk: those to drop are there.
    """
    present = set(query_json(instance, SLOTS)) if _answers(instance, check_mode) else set(drop)
    leaving = sorted(set(drop) & present)
    entering = sorted(set(create) - (present - set(leaving)))
    statements = [f"SELECT pg_drop_replication_slot({quoted(name)})" for name in leaving]
    # Reserved at once, so that the WAL which a clone needs is kept from here on.
    statements += [f"SELECT pg_create_physical_replication_slot({quoted(name)}, true)" for name in entering]
    if statements and not check_mode:
        query(instance, "; ".join(statements))
    return [change("slot", name, "present", "absent") for name in leaving] + [
        change("slot", name, "absent", "present") for name in entering
    ]


@dataclass(frozen=True)
class SetPlan:
    """What is to become of the synchronous set.

    Attributes:
        keep: member names that stay in the set if they are in, streaming or not.
        enter: candidates, each of which enters once it streams; while none of them does, the set stays as it is.
        expect: the set that the decision was made upon; None when any will do.
        wait: seconds to wait for all of them to stream.
    """

    keep: Sequence[str] = ()
    enter: Sequence[str] = ()
    expect: str | None = None
    wait: float = 60


def synchronous(instance: Instance, plan: SetPlan, check_mode: bool) -> tuple[Changes, dict[str, Any]]:
    """Set the synchronous standbys: those that stay, and of those that may enter the ones that stream.

    Args:
        instance: the primary.
        plan: what is to become of the set.
        check_mode: only say what would change, taking it that all will stream.

    Returns:
        What was changed, and what is in force: members in `to`, with time, timeline and LSN.

    Raises:
        CommandError: another set than the expected one is in force, so somebody else works on it.
    """
    current = _current_set(instance) if _answers(instance, check_mode) else plan.expect or ""
    if plan.expect is not None and not _is(current, plan.expect):
        raise CommandError(
            f"the set is {current or 'empty'} by now, and was {plan.expect or 'empty'} when this run looked: "
            "another run or the watch has changed it. Run again."
        )
    ready = list(plan.enter) if check_mode else _streaming(instance, plan.enter, plan.wait)
    members = StandbyNames.parse(current).names
    if plan.enter and not ready:
        return [], _in_force(instance, members, check_mode)  # who is in stays in until another guards the commits
    names = sorted((members & set(plan.keep)) | set(ready))
    wanted = "ANY 1 ({})".format(", ".join(map(identifier, names))) if names else ""
    if current == wanted:
        return [], _in_force(instance, members, check_mode)
    if not check_mode:
        run([SYNCHRONOUS, "set", instance.version, instance.cluster, str(instance.port), current, *names])
    changes = [change("synchronous_standby_names", instance.label, current or "empty", wanted or "empty")]
    return changes, _in_force(instance, names, check_mode)


def _is(current: str, expected: str) -> bool:
    return StandbyNames.parse(current).does_the_work_of(StandbyNames.parse(expected))


def _in_force(instance: Instance, names: Iterable[str], check_mode: bool) -> dict[str, Any]:
    """Return a set that is in force with when that was; in check mode the server may not be there to be asked."""
    position = {} if check_mode else query_json(instance, POSITION)
    return {"to": sorted(names), "time": datetime.now(timezone.utc).isoformat(timespec="microseconds"), **position}


def _administrator(found: Mapping[str, Any] | None, account: Mapping[str, Any]) -> tuple[list[str], Changes]:
    name, role = account["name"], identifier(account["name"])
    comment = account.get("comment") or ""
    comment_on = f"COMMENT ON ROLE {role} IS {quoted(comment)}"
    if found is None:
        return [
            f"CREATE ROLE {role} LOGIN NOSUPERUSER PASSWORD {quoted(_scram.verifier(account['password']))} "
            f"IN ROLE {', '.join(ADMINISTRATOR_GROUPS)}",
            *([comment_on] if comment else []),
        ], [change("role", name, "absent", "administrator")]
    if found["superuser"]:
        raise CommandError(
            f"role {name} is a superuser, and no superuser logs in over the network; "
            f"name another role in postgresql_administrators or ALTER ROLE {role} NOSUPERUSER"
        )
    statements, changes = [], []
    if not found["login"]:
        statements.append(f"ALTER ROLE {role} LOGIN")
        changes.append(change("role", name, "nologin", "login"))
    if not _scram.matches(account["password"], found["verifier"]):
        statements.append(f"ALTER ROLE {role} PASSWORD {quoted(_scram.verifier(account['password']))}")
        changes.append(change("role", name, "another password", "password set"))
    if found["comment"] != comment:
        statements.append(comment_on)
        changes.append(change("role", name, "another comment", "comment set"))
    for group in sorted(set(ADMINISTRATOR_GROUPS) - set(found["groups"])):
        statements.append(f"GRANT {group} TO {role}")
        changes.append(change("role", name, f"no member of {group}", f"member of {group}"))
    return statements, changes


def _streaming(instance: Instance, names: Sequence[str], wait: float) -> list[str]:
    """Return which of the names stream, as soon as all do or the wait is over."""

    def streaming() -> set[str]:
        return set(query_json(instance, STREAMING)) & set(names)

    # Those that do not stream in time stay out, which the verification at the end of the run reports.
    with contextlib.suppress(CommandError):
        wait_until(lambda: streaming() == set(names), wait, "streaming of " + ", ".join(names))
    return sorted(streaming())


def _current_set(instance: Instance) -> str:
    return query(instance, "SHOW synchronous_standby_names").strip()


def _answers(instance: Instance, check_mode: bool) -> bool:
    """Whether to ask the server; in check mode it may not be there yet, and then everything is still to be made."""
    if not check_mode:
        return True
    try:
        query(instance, "SELECT 1")
    except (CommandError, KeyError):
        return False
    return True
