# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role that poolers log in as: all that it can do is ask for the verifier of an account of an application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _role_attributes
from ansible_collections.steadfast.postgresql.plugins.module_utils._pooler_files import ROLE
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import change

# Whoever may do more than an application has no way through a pooler: superusers, who replicates, who makes roles or
# passes row security, and members of PostgreSQL's own roles, as administrators are.
BODY = """
  SELECT rolname::text, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END
  FROM pg_catalog.pg_authid
  WHERE rolname = account AND rolcanlogin AND rolpassword LIKE 'SCRAM-SHA-256$%'
    AND NOT (rolsuper OR rolreplication OR rolcreaterole OR rolcreatedb OR rolbypassrls)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS own
      WHERE own.rolname ^@ 'pg_' AND pg_catalog.pg_has_role(pg_authid.oid, own.oid, 'MEMBER'))
"""
FUNCTION = f"{ROLE}.verifier_of"

# Whether the function is there as it has to be, and who may call it.
FOUND = """
SELECT json_build_object(
    'as_wanted', prosrc = $body$@BODY@$body$ AND prosecdef AND proconfig = '{"search_path=pg_catalog, pg_temp"}'
      AND pg_get_userbyid(proowner) = 'postgres',
    'callers', (SELECT coalesce(json_agg(CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END), '[]')
      FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee <> proowner),
    'schema_users', (SELECT coalesce(json_agg(grantee::regrole::text), '[]')
      FROM aclexplode(nspacl) WHERE grantee NOT IN (0, nspowner) AND privilege_type = 'USAGE'))
  FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
  WHERE pg_proc.oid = to_regprocedure('@FUNCTION@(text)')
"""
FOUND = FOUND.replace("@BODY@", BODY).replace("@FUNCTION@", FUNCTION)

# What else it may do there or owns anywhere: each as the server describes it, in another database only as its name.
RIGHTS = """
SELECT coalesce(json_agg(DISTINCT name ORDER BY name), '[]')
FROM (SELECT CASE WHEN dbid = 0 OR datname = current_database() THEN pg_describe_object(classid, objid, objsubid)
          ELSE 'something in database ' || coalesce(datname, dbid::text) END AS name
      FROM pg_shdepend LEFT JOIN pg_database ON pg_database.oid = dbid
      WHERE refclassid = 'pg_authid'::regclass AND refobjid = to_regrole('@ROLE@')
        AND (classid, objid) IS DISTINCT FROM ('pg_proc'::regclass, to_regprocedure('@FUNCTION@(text)'))
        AND (classid, objid) IS DISTINCT FROM ('pg_namespace'::regclass, to_regnamespace('@ROLE@'))) AS own
"""
RIGHTS = RIGHTS.replace("@FUNCTION@", FUNCTION).replace("@ROLE@", ROLE)

MAKE = f"""CREATE SCHEMA IF NOT EXISTS {ROLE} AUTHORIZATION postgres;
CREATE OR REPLACE FUNCTION {FUNCTION}(account text) RETURNS TABLE (name text, verifier text)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body${BODY}$body$;
ALTER FUNCTION {FUNCTION}(text) OWNER TO postgres;
REVOKE ALL ON FUNCTION {FUNCTION}(text) FROM PUBLIC;
GRANT USAGE ON SCHEMA {ROLE} TO {ROLE};
GRANT EXECUTE ON FUNCTION {FUNCTION}(text) TO {ROLE}"""


def statements(
    found: Mapping[str, Any] | None, function: Mapping[str, Any] | None
) -> tuple[list[str], list[dict[str, str]]]:
    """Return the SQL that makes or repairs the role and its function, and what it changes.

    Args:
        found: the role as it is, None when there is none.
        function: what FOUND says of the function, None when there is none.
    """
    wanted = _role_attributes.Wanted(ROLE, bare=True)
    made = (_role_attributes.create(wanted), ["absent"])
    sql, words = made if found is None else _role_attributes.mend(wanted, found)
    changes = [change("role", ROLE, ", ".join(words), "pooler")] if words else []
    as_it_was = "absent" if function is None else "another one"
    if (
        function is None
        or not function["as_wanted"]
        or function["callers"] != [ROLE]
        or ROLE not in function["schema_users"]
    ):
        others = [caller for caller in (function or {"callers": []})["callers"] if caller not in {ROLE, "PUBLIC"}]
        sql += [MAKE, *(f"REVOKE ALL ON FUNCTION {FUNCTION}(text) FROM {caller}" for caller in others)]
        changes.append(change("function", FUNCTION, as_it_was, "for poolers"))
    return sql, changes
