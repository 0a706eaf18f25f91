# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server holds of roles and databases, as two catalogue queries return it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.steadfast.postgresql.plugins.module_utils import _logged_in
from ansible_collections.steadfast.postgresql.plugins.module_utils._grants import (
    EVERYBODY,
    Rights,
    grantors,
    handed,
    parse,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import quoted

PUBLIC_OWNER = "pg_database_owner"
"""The owner of the schema public, whose only member is the owner of the database."""

INVALID = -2
"""The connection limit of a database whose DROP DATABASE was interrupted."""

_CLUSTER = """
SELECT json_build_object(
  'user', current_user,
  'superuser', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
  'in_recovery', pg_is_in_recovery(),
  'version_num', current_setting('server_version_num')::int,
  'roles', (SELECT coalesce(json_agg(json_build_array(rolname, rolsuper, rolcanlogin, rolcreaterole, rolcreatedb,
      rolreplication, rolbypassrls, rolinherit, rolconnlimit, @VERIFIER@, coalesce(description, ''),
      coalesce(nullif(rolvaliduntil, 'infinity')::text, ''))), '[]')
    FROM @ROLES@ AS role LEFT JOIN pg_shdescription ON objoid = role.oid AND classoid = 'pg_authid'::regclass
    WHERE rolname !~ '^pg_'),
  'memberships', (SELECT coalesce(json_agg(json_build_array(role, member, whole, admin)), '[]')
    FROM (SELECT parent.rolname AS role, child.rolname AS member, bool_or(inherit_option AND set_option) AS whole,
            bool_or(admin_option) AS admin
          FROM pg_auth_members JOIN pg_roles AS parent ON parent.oid = roleid
            JOIN pg_roles AS child ON child.oid = member JOIN pg_roles AS giver ON giver.oid = grantor
          WHERE giver.rolsuper OR giver.rolname = current_user GROUP BY 1, 2) AS membership),
  'handed', (SELECT coalesce(json_agg(json_build_array(parent.rolname, child.rolname, giver.rolname)), '[]')
    FROM pg_auth_members JOIN pg_roles AS parent ON parent.oid = roleid
      JOIN pg_roles AS child ON child.oid = member JOIN pg_roles AS giver ON giver.oid = grantor
    WHERE NOT giver.rolsuper AND giver.rolname <> current_user),
  'server_rights', (SELECT coalesce(json_agg(json_build_array(what, coalesce(rolname, ''), words)), '[]')
    FROM (SELECT 'PARAMETER ' || quote_ident(parname) AS what, grantee, string_agg(privilege_type, ', ') AS words
          FROM pg_parameter_acl, aclexplode(paracl) GROUP BY 1, 2
          UNION ALL SELECT 'TABLESPACE ' || quote_ident(spcname), grantee, string_agg(privilege_type, ', ')
          FROM pg_tablespace, aclexplode(spcacl) GROUP BY 1, 2) AS given
      LEFT JOIN pg_roles AS role ON role.oid = grantee),
  'databases', (SELECT coalesce(json_object_agg(datname, json_build_object('owner', pg_get_userbyid(datdba),
      'connects', datallowconn, 'template', datistemplate, 'connection_limit', datconnlimit,
      'encoding', pg_encoding_to_char(encoding),
      'locale', datcollate, 'comment', coalesce(description, ''),
      'acl', coalesce(datacl, acldefault('d', datdba))::text[])), '{}')
    FROM pg_database LEFT JOIN pg_shdescription ON objoid = pg_database.oid AND classoid = 'pg_database'::regclass
    WHERE datname NOT IN ('template0', 'template1')),
  'sessions', (SELECT coalesce(json_agg(json_build_array(usename, address, number)), '[]')
    FROM (SELECT usename, coalesce(host(client_addr), '') AS address, count(*) AS number
          FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1, 2) AS session),
  'settings', (SELECT coalesce(json_agg(json_build_array(coalesce(rolname, ''), coalesce(datname, ''), setconfig)),
      '[]')
    FROM pg_db_role_setting LEFT JOIN pg_roles AS role ON role.oid = setrole
      LEFT JOIN pg_database AS database ON database.oid = setdatabase),
  'extensions', (SELECT coalesce(json_object_agg(name, json_build_object('versions', versions, 'trusted', trusted)),
      '{}')
    FROM (SELECT name, json_agg(version) AS versions, bool_and(trusted OR NOT superuser) AS trusted
          FROM pg_available_extension_versions GROUP BY name) AS extension)
)
"""

_CONTENTS = """
SELECT json_build_object(
  'schemas', (SELECT coalesce(json_object_agg(nspname, json_build_object('owner', pg_get_userbyid(nspowner),
      'comment', coalesce(obj_description(oid, 'pg_namespace'), ''),
      'acl', coalesce(nspacl, acldefault('n', nspowner))::text[])), '{}')
    FROM pg_namespace AS namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend
        WHERE classid = 'pg_namespace'::regclass AND objid = namespace.oid AND deptype = 'e')),
  'relations', (SELECT coalesce(json_agg(json_build_array(nspname, relname, relkind, pg_get_userbyid(relowner),
      coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))::text[])
      ORDER BY nspname, relname), '[]')
    FROM pg_class AS class JOIN pg_namespace AS namespace ON namespace.oid = relnamespace
    WHERE nspname = ANY (ARRAY[@SCHEMAS@]::name[]) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT EXISTS (SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = class.oid AND deptype = 'e')),
  'columns', (SELECT coalesce(json_agg(json_build_array(nspname, relname, attname, attacl::text[])
      ORDER BY nspname, relname, attnum), '[]')
    FROM pg_attribute JOIN pg_class AS class ON class.oid = attrelid JOIN pg_namespace AS namespace
      ON namespace.oid = relnamespace
    WHERE nspname = ANY (ARRAY[@SCHEMAS@]::name[]) AND attacl IS NOT NULL AND NOT attisdropped),
  'functions', (SELECT coalesce(json_agg(json_build_array(nspname, proname,
      pg_get_function_identity_arguments(function.oid), pg_get_userbyid(proowner),
      coalesce(proacl, acldefault('f', proowner))::text[])), '[]')
    FROM pg_proc AS function JOIN pg_namespace AS namespace ON namespace.oid = pronamespace
    WHERE nspname = ANY (ARRAY[@SCHEMAS@]::name[]) AND proname = ANY (ARRAY[@FUNCTIONS@]::name[])),
  'definers', (SELECT coalesce(json_agg(json_build_array(function.oid::regprocedure::text, rolname) ORDER BY 1), '[]')
    FROM pg_proc AS function JOIN pg_namespace AS namespace ON namespace.oid = pronamespace
      JOIN pg_roles AS role ON role.oid = proowner
    WHERE prosecdef AND rolsuper AND nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT EXISTS (
      SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = function.oid AND deptype = 'e')),
  'catalogue', (SELECT coalesce(json_agg(json_build_array(coalesce(rolname, ''), what) ORDER BY what), '[]')
    FROM (SELECT oid::regclass::text AS what, grantee FROM pg_class, aclexplode(relacl) AS now
          WHERE relnamespace = 'pg_catalog'::regnamespace AND grantee <> relowner AND NOT EXISTS (
            SELECT FROM pg_init_privs, aclexplode(initprivs) AS first WHERE classoid = 'pg_class'::regclass
              AND objoid = pg_class.oid AND objsubid = 0 AND first.grantee = now.grantee
              AND first.privilege_type = now.privilege_type)
          UNION SELECT oid::regprocedure::text, grantee FROM pg_proc, aclexplode(proacl) AS now
          WHERE pronamespace = 'pg_catalog'::regnamespace AND grantee <> proowner AND NOT EXISTS (
            SELECT FROM pg_init_privs, aclexplode(initprivs) AS first WHERE classoid = 'pg_proc'::regclass
              AND objoid = pg_proc.oid AND first.grantee = now.grantee)) AS given
      LEFT JOIN pg_roles AS role ON role.oid = grantee),
  'defaults', (SELECT coalesce(json_agg(json_build_array(coalesce(nspname, ''), defaclobjtype, defaclacl::text[])),
      '[]')
    FROM pg_default_acl LEFT JOIN pg_namespace AS namespace ON namespace.oid = defaclnamespace
    WHERE pg_get_userbyid(defaclrole) = @OWNER@),
  'others_defaults', (SELECT coalesce(json_agg(json_build_array(rolname, defaclobjtype, defaclacl::text[])
      ORDER BY rolname), '[]')
    FROM pg_default_acl JOIN pg_roles AS role ON role.oid = defaclrole WHERE rolname <> @OWNER@),
  'extensions', (SELECT coalesce(json_object_agg(extname, json_build_array(nspname, extversion)), '{}')
    FROM pg_extension JOIN pg_namespace AS namespace ON namespace.oid = extnamespace)
)
"""


def cluster_query(superuser: bool) -> str:
    """Return the query of what all databases share; nobody but a superuser reads the verifiers."""
    roles, verifier = ("pg_authid", "rolpassword") if superuser else ("pg_roles", "NULL")
    return _CLUSTER.replace("@ROLES@", roles).replace("@VERIFIER@", verifier)


def contents_query(owner: str, schemas: Iterable[str], functions: Iterable[str]) -> str:
    """Return the query of what one database holds.

    Args:
        owner: whose default privileges are meant.
        schemas: whose tables and functions are looked at.
        functions: names of functions that somebody is granted.
    """
    names = {"@SCHEMAS@": schemas, "@FUNCTIONS@": functions}
    query = _CONTENTS.replace("@OWNER@", quoted(owner))
    for mark, words in names.items():
        query = query.replace(mark, ", ".join(map(quoted, sorted(words))))
    return query


@dataclass(frozen=True)
class RoleState:
    """A role as it is; `elevated` are the attributes that no application's role has, as ALTER ROLE spells them."""

    superuser: bool = False
    login: bool = False
    elevated: tuple[str, ...] = ()
    inherits: bool = True
    connection_limit: int = -1
    verifier: str | None = None
    comment: str = ""
    valid_until: str = ""

    @classmethod
    def of(cls, row: list[Any]) -> RoleState:
        """Read a row of the query, without the name."""
        superuser, login, *more, inherits, limit, verifier, comment, until = row
        words = ("CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS")
        elevated = tuple(word for word, has in zip(words, more, strict=True) if has)
        return cls(superuser, login, elevated, inherits, limit, verifier, comment, until)


@dataclass(frozen=True)
class DatabaseState:
    """A database as the cluster knows it; of rights those that its owner gave, and by grantor those handed on."""

    owner: str
    encoding: str = "UTF8"
    locale: str = ""
    comment: str = ""
    connects: bool = True
    template: bool = False
    connection_limit: int = -1
    rights: Rights = field(default_factory=dict)
    handed: Mapping[str, Rights] = field(default_factory=dict)
    grantors: frozenset[str] = frozenset()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> DatabaseState:
        """Read what the query says."""
        plain = {key: value for key, value in given.items() if key != "acl"}
        rights, others = handed(given["acl"], given["owner"])
        return cls(**plain, rights=rights, handed=others, grantors=grantors(given["acl"]))


@dataclass(frozen=True)
class ClusterState:
    """What all databases share.

    Attributes:
        user: who asks.
        superuser: whether that is a superuser.
        in_recovery: whether the server is a standby.
        version: major version.
        roles: by name, without PostgreSQL's own.
        memberships: group role and member; whether the member inherits and may become the group role.
        admins: of these, those whose member may make others members.
        handed: group role, member and grantor where neither a superuser nor who asks granted it.
        server_rights: parameters and tablespaces with the role that has rights on them, and the rights.
        databases: by name, without templates.
        sessions: how many clients each role has, on the server and through poolers.
        settings: by role and database, each of which may be empty, the text by name.
        extensions: which versions of each the server has.
        trusted: extensions that the owner of a database may make.
        locales: of the operating system; None where it is somebody else's.
    """

    user: str = "postgres"
    superuser: bool = True
    in_recovery: bool = False
    version: int = 16
    roles: Mapping[str, RoleState] = field(default_factory=dict)
    memberships: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    admins: frozenset[tuple[str, str]] = frozenset()
    handed: tuple[tuple[str, str, str], ...] = ()
    server_rights: tuple[tuple[str, str, str], ...] = ()
    databases: Mapping[str, DatabaseState] = field(default_factory=dict)
    sessions: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    extensions: Mapping[str, tuple[str, ...]] | None = None
    trusted: frozenset[str] = frozenset()
    locales: frozenset[str] | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any], logged_in: Mapping[str, Any]) -> ClusterState:
        """Read what the query returned; logged_in says who is so elsewhere (_logged_in)."""
        return cls(
            user=given["user"],
            superuser=given["superuser"],
            in_recovery=given["in_recovery"],
            version=given["version_num"] // 10000,
            roles={name: RoleState.of(row) for name, *row in given["roles"]},
            memberships={(role, member): whole for role, member, whole, _ in given["memberships"]},
            admins=frozenset((role, member) for role, member, _, admin in given["memberships"] if admin),
            handed=tuple((group, member, grantor) for group, member, grantor in given["handed"]),
            server_rights=tuple((what, role, words) for what, role, words in given["server_rights"]),
            databases={name: DatabaseState.of(item) for name, item in given["databases"].items()},
            sessions=_logged_in.sessions(given["sessions"], logged_in),
            settings={
                (role, database): dict(text.split("=", 1) for text in texts)
                for role, database, texts in given["settings"]
            },
            extensions={name: tuple(item["versions"]) for name, item in given["extensions"].items()},
            trusted=frozenset(name for name, item in given["extensions"].items() if item["trusted"]),
        )


@dataclass(frozen=True)
class SchemaState:
    """A schema as it is; of rights those that its owner gave, and by grantor those that others handed on."""

    owner: str
    comment: str = ""
    rights: Rights = field(default_factory=dict)
    handed: Mapping[str, Rights] = field(default_factory=dict)
    grantors: frozenset[str] = frozenset()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> SchemaState:
        """Read what the query says."""
        rights, others = handed(given["acl"], given["owner"])
        return cls(given["owner"], given["comment"], rights, others, grantors(given["acl"]))


@dataclass(frozen=True)
class Relation:
    """A table, view, sequence or the like; the kind is that of pg_class."""

    schema: str
    name: str
    kind: str
    owner: str
    rights: Rights = field(default_factory=dict)
    grantors: frozenset[str] = frozenset()

    @property
    def is_sequence(self) -> bool:
        """Whether it has a sequence's rights."""
        return self.kind == "S"


@dataclass(frozen=True)
class Function:
    """A function with the types of its arguments, as a statement names them."""

    schema: str
    name: str
    arguments: str
    owner: str
    rights: Rights = field(default_factory=dict)


@dataclass(frozen=True)
class Contents:
    """What one database holds.

    Attributes:
        schemas: by name, without PostgreSQL's own.
        relations: in the declared schemas, without those of extensions.
        functions: those that somebody is granted.
        defaults: default privileges of the owner, by schema and kind (r for tables, S for sequences).
        extensions: schema and version by name.
        columns: schema, table and column, and whom the column alone gives rights.
        others_defaults: roles beside the owner that have default privileges, on what kind, and whom these give rights.
        defaults_handed: schema, kind and role that may hand on what it has by default.
        definers: functions that run as the superuser who owns them, outside of extensions.
        catalogue: roles with a right on PostgreSQL's own catalogues that they do not have from the start.
    """

    schemas: Mapping[str, SchemaState] = field(default_factory=dict)
    relations: tuple[Relation, ...] = ()
    functions: tuple[Function, ...] = ()
    defaults: Mapping[tuple[str, str], Rights] = field(default_factory=dict)
    extensions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    columns: tuple[tuple[str, str, str, tuple[str, ...]], ...] = ()
    others_defaults: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    defaults_handed: tuple[tuple[str, str, str], ...] = ()
    definers: tuple[tuple[str, str], ...] = ()
    catalogue: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Contents:
        """Read what the query returned."""
        return cls(
            schemas={name: SchemaState.of(item) for name, item in given["schemas"].items()},
            relations=tuple(
                Relation(schema, name, kind, owner, parse(acl), grantors(acl))
                for schema, name, kind, owner, acl in given["relations"]
            ),
            functions=tuple(
                Function(schema, name, types, owner, parse(acl))
                for schema, name, types, owner, acl in given["functions"]
            ),
            defaults={(schema, kind): parse(acl) for schema, kind, acl in given["defaults"]},
            extensions={name: (schema, version) for name, (schema, version) in given["extensions"].items()},
            columns=tuple((schema, table, name, tuple(parse(acl))) for schema, table, name, acl in given["columns"]),
            others_defaults=tuple((role, kind, tuple(parse(acl))) for role, kind, acl in given["others_defaults"]),
            defaults_handed=tuple(
                (schema, kind, role) for schema, kind, acl in given["defaults"] for role in sorted(grantors(acl))
            ),
            definers=tuple((name, owner) for name, owner in given["definers"]),
            catalogue=tuple((role, what) for role, what in given["catalogue"]),
        )


FRESH = Contents(
    schemas={
        "public": SchemaState(
            PUBLIC_OWNER,
            "standard public schema",
            {PUBLIC_OWNER: frozenset({"USAGE", "CREATE"}), EVERYBODY: frozenset({"USAGE"})},
        )
    },
    extensions={"plpgsql": ("pg_catalog", "1.0")},
)
"""What a copy of template0 holds."""
