# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The difference between what applications declare and what a server holds, as SQL."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils._applications import Application
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_plan import Plan, plan
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_script import RefusalError
from ansible_collections.steadfast.postgresql.plugins.module_utils._database_state import (
    FRESH,
    INVALID,
    ClusterState,
    Contents,
    DatabaseState,
    Function,
    Relation,
    RoleState,
    SchemaState,
)
from applications import PASSWORD, application, declared, held, rights

CRM = application(
    "crm",
    comment="Customers",
    accounts=[
        {
            "name": "crm_app",
            "password": PASSWORD,
            "member_of": ["crm_rw"],
            "connection_limit": 50,
            "settings": {"statement_timeout": "30s", "search_path": ["crm", "$user"]},
            "comment": "The web service",
        }
    ],
    extensions=[{"name": "pgcrypto"}],
)
NEW = {"crm_migrator": "SCRAM-1", "crm_app": "SCRAM-2"}


def planned(
    entry: dict[str, Any],
    state: ClusterState,
    found: Contents | None = None,
    verifiers: dict[str, str] | None = None,
) -> Plan:
    one = declared(entry)
    return plan([one], [one], state, {one.database: found} if found else {}, verifiers or {})


def sql(result: Plan) -> list[str]:
    return [statement.sql for script in result.scripts for statement in script.statements]


def test_of_an_empty_server() -> None:
    result = planned(CRM, ClusterState(extensions={"pgcrypto": ("1.3",)}), verifiers=NEW)
    assert result.sql.splitlines() == [
        "-- for all databases, one transaction",
        'CREATE ROLE "crm_owner" NOLOGIN;',
        "COMMENT ON ROLE \"crm_owner\" IS 'Owns the database crm';",
        'CREATE ROLE "crm_rw" NOLOGIN;',
        "COMMENT ON ROLE \"crm_rw\" IS 'Reads and writes the schema public of crm';",
        'CREATE ROLE "crm_ro" NOLOGIN;',
        "COMMENT ON ROLE \"crm_ro\" IS 'Reads the schema public of crm';",
        "CREATE ROLE \"crm_migrator\" LOGIN PASSWORD '********';",
        "COMMENT ON ROLE \"crm_migrator\" IS 'Migrates the database crm';",
        "CREATE ROLE \"crm_app\" LOGIN CONNECTION LIMIT 50 PASSWORD '********';",
        "COMMENT ON ROLE \"crm_app\" IS 'The web service';",
        'GRANT "crm_owner" TO "crm_migrator" WITH INHERIT TRUE, SET TRUE;',
        'GRANT "crm_rw" TO "crm_app" WITH INHERIT TRUE, SET TRUE;',
        "-- for all databases, one by one",
        'CREATE DATABASE "crm" OWNER "crm_owner" TEMPLATE template0 ENCODING \'UTF8\';',
        'REVOKE ALL ON DATABASE "crm" FROM PUBLIC;',
        "-- in the database crm, one transaction",
        "COMMENT ON DATABASE \"crm\" IS 'Customers';",
        'CREATE EXTENSION "pgcrypto" SCHEMA "public";',
        'REVOKE USAGE ON SCHEMA "public" FROM PUBLIC;',
        'GRANT CONNECT ON DATABASE "crm" TO "crm_ro", "crm_rw";',
        'GRANT USAGE ON SCHEMA "public" TO "crm_ro", "crm_rw";',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "crm_owner" IN SCHEMA "public" GRANT SELECT, USAGE ON SEQUENCES TO '
        '"crm_rw";',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "crm_owner" IN SCHEMA "public" GRANT SELECT ON SEQUENCES TO "crm_ro";',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "crm_owner" IN SCHEMA "public" GRANT SELECT, INSERT, UPDATE, DELETE '
        "ON TABLES TO "
        '"crm_rw";',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "crm_owner" IN SCHEMA "public" GRANT SELECT ON TABLES TO "crm_ro";',
        'ALTER ROLE "crm_migrator" IN DATABASE "crm" SET "role" TO \'crm_owner\';',
        'ALTER ROLE "crm_app" IN DATABASE "crm" SET "search_path" TO \'crm\', \'$user\';',
        'ALTER ROLE "crm_app" IN DATABASE "crm" SET "statement_timeout" TO \'30s\';',
    ]
    assert "CREATE ROLE \"crm_migrator\" LOGIN PASSWORD 'SCRAM-1'" in sql(result)
    assert result.drift == []
    # What goes without saying of a new database is not listed.
    assert [f"{one['kind']} {one['name']}" for one in result.changes] == [
        "role crm_owner",
        "role crm_rw",
        "role crm_ro",
        "role crm_migrator",
        "role crm_app",
        "membership 2 memberships",
        "database crm",
        "extension crm.pgcrypto",
    ]
    assert [script.together for script in result.scripts] == [True, False, True]


def test_nothing_of_what_is_as_declared() -> None:
    entry = CRM | {"schemas": [{"name": "crm"}, {"name": "audit", "comment": "Who did what"}]}
    entry["accounts"] = [{"name": "crm_app", "password": PASSWORD, "member_of": ["crm_rw"]}]
    entry["extensions"] = []
    result = planned(entry, *held(declared(entry)))
    assert (result.sql, result.changes, result.drift) == ("", [], [])


def changed(name: str, **what: Any) -> tuple[ClusterState, Contents]:
    """Return what is held of CRM with something about a role changed by hand."""
    state, found = held(declared(CRM))
    return replace(state, roles={**state.roles, name: replace(state.roles[name], **what)}), pgcrypto(found)


def pgcrypto(found: Contents) -> Contents:
    """Add the rights that come with an extension in public: those of the schema itself are enough."""
    return found


CRM_STATE, CRM_CONTENTS = held(declared(CRM))
CONNECT = rights(crm_rw="CONNECT", crm_ro="CONNECT", crm_owner="CREATE CONNECT TEMPORARY")


def with_database(**what: Any) -> ClusterState:
    return replace(CRM_STATE, databases={"crm": replace(CRM_STATE.databases["crm"], **what)})


def with_relation(relation: Relation) -> Contents:
    return replace(CRM_CONTENTS, relations=(*CRM_CONTENTS.relations, relation))


ALTER_DEFAULT = 'ALTER DEFAULT PRIVILEGES FOR ROLE "crm_owner" IN SCHEMA "public"'


@pytest.mark.parametrize(
    ("state", "found", "expected"),
    [
        (CRM_STATE, CRM_CONTENTS, []),
        (*changed("crm_app", connection_limit=-1), ['ALTER ROLE "crm_app" CONNECTION LIMIT 50']),
        (*changed("crm_app", connection_limit=5), ['ALTER ROLE "crm_app" CONNECTION LIMIT 50']),
        (*changed("crm_app", login=False), ['ALTER ROLE "crm_app" LOGIN']),
        (*changed("crm_owner", login=True), ['ALTER ROLE "crm_owner" NOLOGIN']),
        (*changed("crm_app", elevated=("CREATEROLE", "BYPASSRLS")), ['ALTER ROLE "crm_app" NOCREATEROLE NOBYPASSRLS']),
        (*changed("crm_app", inherits=False), ['ALTER ROLE "crm_app" INHERIT']),
        (*changed("crm_app", valid_until="2020-01-01"), ["ALTER ROLE \"crm_app\" VALID UNTIL 'infinity'"]),
        (*changed("crm_app", comment="?"), ["COMMENT ON ROLE \"crm_app\" IS 'The web service'"]),
        (
            replace(CRM_STATE, memberships={("crm_owner", "crm_migrator"): True}),
            CRM_CONTENTS,
            ['GRANT "crm_rw" TO "crm_app" WITH INHERIT TRUE, SET TRUE'],
        ),
        (
            replace(CRM_STATE, memberships={**CRM_STATE.memberships, ("crm_rw", "crm_app"): False}),
            CRM_CONTENTS,
            ['GRANT "crm_rw" TO "crm_app" WITH INHERIT TRUE, SET TRUE'],
        ),
        (
            replace(CRM_STATE, memberships={**CRM_STATE.memberships, ("crm_owner", "crm_app"): True}),
            CRM_CONTENTS,
            ['REVOKE "crm_owner" FROM "crm_app"'],
        ),
        (
            replace(CRM_STATE, admins=frozenset({("crm_rw", "crm_app"), ("pg_monitor", "ada")})),
            CRM_CONTENTS,
            ['REVOKE ADMIN OPTION FOR "crm_rw" FROM "crm_app" CASCADE'],
        ),
        (
            replace(
                CRM_STATE,
                memberships={("crm_owner", "crm_migrator"): True},
                handed=(("crm_rw", "crm_app", "crm_migrator"), ("crm_ro", "crm_app", "crm_migrator")),
            ),
            CRM_CONTENTS,
            [
                'REVOKE "crm_rw" FROM "crm_app" GRANTED BY "crm_migrator" CASCADE',
                'REVOKE "crm_ro" FROM "crm_app" GRANTED BY "crm_migrator" CASCADE',
                'GRANT "crm_rw" TO "crm_app" WITH INHERIT TRUE, SET TRUE',
            ],
        ),
        (with_database(owner="postgres"), CRM_CONTENTS, ['ALTER DATABASE "crm" OWNER TO "crm_owner"']),
        (with_database(comment="?"), CRM_CONTENTS, ["COMMENT ON DATABASE \"crm\" IS 'Customers'"]),
        (
            with_database(rights={**CONNECT, **rights(everybody="CONNECT TEMPORARY")}),
            CRM_CONTENTS,
            ['REVOKE CONNECT, TEMPORARY ON DATABASE "crm" FROM PUBLIC'],
        ),
        (
            with_database(rights={**CONNECT, **rights(crm_app="TEMPORARY")}),
            CRM_CONTENTS,
            ['REVOKE TEMPORARY ON DATABASE "crm" FROM "crm_app"'],
        ),
        (
            with_database(rights=rights(crm_rw="CONNECT", crm_owner="CONNECT")),
            CRM_CONTENTS,
            [
                'GRANT CONNECT ON DATABASE "crm" TO "crm_ro"',
                'GRANT CREATE, TEMPORARY ON DATABASE "crm" TO "crm_owner"',
            ],
        ),
        (
            with_database(
                rights={name: one for name, one in CONNECT.items() if name != "crm_ro"},
                handed={"crm_rw": rights(crm_ro="CONNECT", bob="TEMPORARY")},
            ),
            CRM_CONTENTS,
            [
                'REVOKE GRANT OPTION FOR ALL ON DATABASE "crm" FROM "crm_rw" CASCADE',
                'GRANT CONNECT ON DATABASE "crm" TO "crm_ro"',
            ],
        ),
        (
            CRM_STATE,
            replace(CRM_CONTENTS, defaults_handed=(("public", "r", "crm_ro"), ("", "r", "crm_ro"))),
            [f'{ALTER_DEFAULT} REVOKE GRANT OPTION FOR ALL ON TABLES FROM "crm_ro"'],
        ),
        (
            CRM_STATE,
            replace(
                CRM_CONTENTS,
                schemas={
                    "public": SchemaState("pg_database_owner", "", rights(crm_rw="USAGE CREATE", everybody="USAGE"))
                },
            ),
            [
                'REVOKE CREATE ON SCHEMA "public" FROM "crm_rw"',
                'REVOKE USAGE ON SCHEMA "public" FROM PUBLIC',
                'GRANT USAGE ON SCHEMA "public" TO "crm_ro"',
                'GRANT USAGE, CREATE ON SCHEMA "public" TO "pg_database_owner"',
            ],
        ),
        (
            CRM_STATE,
            replace(CRM_CONTENTS, defaults={("public", "S"): CRM_CONTENTS.defaults[("public", "S")]}),
            [
                f'{ALTER_DEFAULT} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "crm_rw"',
                f'{ALTER_DEFAULT} GRANT SELECT ON TABLES TO "crm_ro"',
            ],
        ),
        (
            CRM_STATE,
            replace(
                CRM_CONTENTS,
                defaults={
                    **CRM_CONTENTS.defaults,
                    ("public", "r"): rights(crm_rw="SELECT INSERT UPDATE DELETE", crm_ro="SELECT UPDATE"),
                },
            ),
            [f'{ALTER_DEFAULT} REVOKE UPDATE ON TABLES FROM "crm_ro"'],
        ),
        (
            CRM_STATE,
            with_relation(Relation("public", "New Table", "p", "crm_owner", rights(crm_rw="SELECT"))),
            [
                'GRANT SELECT ON TABLE "public"."New Table" TO "crm_ro"',
                'GRANT INSERT, UPDATE, DELETE ON TABLE "public"."New Table" TO "crm_rw"',
            ],
        ),
        (
            CRM_STATE,
            with_relation(Relation("public", "s", "S", "crm_owner", {})),
            [
                'GRANT SELECT ON SEQUENCE "public"."s" TO "crm_ro"',
                'GRANT SELECT, USAGE ON SEQUENCE "public"."s" TO "crm_rw"',
            ],
        ),
        (CRM_STATE, replace(CRM_CONTENTS, extensions={}), ['CREATE EXTENSION "pgcrypto" SCHEMA "public"']),
        (
            CRM_STATE,
            replace(CRM_CONTENTS, extensions={"pgcrypto": ("crm", "1.3")}),
            ['ALTER EXTENSION "pgcrypto" SET SCHEMA "public"'],
        ),
        (
            replace(CRM_STATE, settings={("crm_migrator", "crm"): {"role": "crm_owner"}}),
            CRM_CONTENTS,
            [
                'ALTER ROLE "crm_app" IN DATABASE "crm" SET "search_path" TO \'crm\', \'$user\'',
                'ALTER ROLE "crm_app" IN DATABASE "crm" SET "statement_timeout" TO \'30s\'',
            ],
        ),
        (
            replace(
                CRM_STATE,
                settings={
                    ("crm_migrator", "crm"): {"role": "crm_owner"},
                    ("crm_app", "crm"): {"search_path": 'crm, "$user"', "statement_timeout": "30s", "work_mem": "1GB"},
                },
            ),
            CRM_CONTENTS,
            ['ALTER ROLE "crm_app" IN DATABASE "crm" RESET "work_mem"'],
        ),
    ],
)
def test_of_what_somebody_changed(state: ClusterState, found: Contents, expected: list[str]) -> None:
    result = planned(CRM, state, found)
    assert sql(result) == expected
    assert bool(result.changes) == bool(expected)
    assert result.drift == []


def test_a_password_is_never_shown() -> None:
    result = planned(CRM, CRM_STATE, CRM_CONTENTS, {"crm_app": "SCRAM-3"})
    assert sql(result) == ["ALTER ROLE \"crm_app\" PASSWORD 'SCRAM-3'"]
    assert "SCRAM" not in result.sql + str(result.changes)
    assert result.roles.statements


def test_what_is_declared_beside_the_schemas() -> None:
    entry = CRM | {
        "grants": [
            {"role": "crm_ro", "privileges": ["temporary"], "kind": "database"},
            {"role": "crm_rw", "privileges": ["create"], "kind": "schema"},
            {"role": "crm_rw", "privileges": ["truncate"], "names": ["orders", "later"]},
            {"role": "crm_ro", "privileges": ["execute"], "kind": "function", "names": ["sign"]},
        ],
    }
    functions = (
        Function("public", "sign", "text, integer", "crm_owner", {}),
        Function("public", "sign", "", "postgres", {}),
    )
    assert sql(planned(entry, CRM_STATE, replace(CRM_CONTENTS, functions=functions))) == [
        'GRANT TEMPORARY ON DATABASE "crm" TO "crm_ro"',
        'GRANT CREATE ON SCHEMA "public" TO "crm_rw"',
        'GRANT TRUNCATE ON TABLE "public"."orders" TO "crm_rw"',
        'GRANT EXECUTE ON ROUTINE "public"."sign"(text, integer) TO "crm_ro"',
    ]


def test_a_grant_on_another_kind_of_object() -> None:
    grants = [
        {"role": "crm_rw", "privileges": ["update"], "names": ["orders_id_seq", "later"]},
        {"role": "crm_rw", "privileges": ["update"], "kind": "sequence", "names": ["orders"]},
    ]
    result = planned(CRM | {"grants": grants}, CRM_STATE, CRM_CONTENTS)
    assert [f"{one.text} {one.advice}" for one in result.drift] == [
        "crm grants rights on the table public.orders_id_seq, which is a sequence. Write kind: sequence.",
        "crm grants rights on the sequence public.orders, which is a table. Write kind: table.",
    ]
    assert result.sql == ""


def test_tables_with_other_rights() -> None:
    exceptions = [{"tables": "ord*s", "read_write": ["SELECT", "INSERT"], "read_only": []}]
    entry = CRM | {"schemas": [{"name": "public", "exceptions": exceptions}]}
    result = planned(entry, CRM_STATE, CRM_CONTENTS)
    assert sql(result) == [
        'REVOKE UPDATE, DELETE ON TABLE "public"."orders" FROM "crm_rw"',
        'REVOKE SELECT ON TABLE "public"."orders" FROM "crm_ro"',
    ]
    assert result.drift == []


def test_an_extension_serves_all_group_roles() -> None:
    entry = CRM | {"schemas": [{"name": "crm"}, {"name": "audit"}]}
    state, found = held(declared(entry))
    assert sql(planned(entry, state, found)) == [
        'GRANT USAGE ON SCHEMA "public" TO "audit_ro", "audit_rw", "crm_ro", "crm_rw"'
    ]


def drift(state: ClusterState, found: Contents) -> list[str]:
    result = planned(CRM, state, found)
    assert result.sql == ""
    return [f"{one.text} {one.advice}" for one in result.drift]


@pytest.mark.parametrize(
    ("state", "found", "expected"),
    [
        (
            replace(CRM_STATE, databases={**CRM_STATE.databases, "shop": DatabaseState("bob")}),
            CRM_CONTENTS,
            'The database shop belongs to no application. Declare one, or drop it by hand: DROP DATABASE "shop";',
        ),
        (
            replace(CRM_STATE, settings={**CRM_STATE.settings, ("", "crm"): {"search_path": "evil"}}),
            CRM_CONTENTS,
            "The database crm has the setting search_path = evil, which is declared nowhere. To end it: ALTER DATABASE "
            '"crm" RESET search_path;',
        ),
        (
            with_database(connection_limit=2),
            CRM_CONTENTS,
            "The database crm takes at most 2 sessions of all accounts, which is declared nowhere. To end it: ALTER "
            'DATABASE "crm" CONNECTION LIMIT -1;',
        ),
        (
            replace(CRM_STATE, roles={**CRM_STATE.roles, "crm_old": RoleState(), "audit": RoleState()}),
            CRM_CONTENTS,
            "Roles without a login are declared nowhere: audit, crm_old. Declare them, or drop them by hand, such as: "
            'DROP ROLE "audit";',
        ),
        (
            CRM_STATE,
            replace(CRM_CONTENTS, others_defaults=(("eve", "f", ("bob", "")), ("eve", "f", ("eve", "al")))),
            "al, bob gets rights on what eve makes in crm by default, which is declared nowhere. ALTER DEFAULT "
            "PRIVILEGES ends it.",
        ),
        (
            replace(CRM_STATE, roles={**CRM_STATE.roles, "bob": RoleState(login=True)}),
            CRM_CONTENTS,
            'The role bob may log in and is declared nowhere. Declare it, or end that: ALTER ROLE "bob" NOLOGIN;',
        ),
        (
            replace(CRM_STATE, roles={**CRM_STATE.roles, "bob": RoleState(superuser=True, login=True)}),
            CRM_CONTENTS,
            'The superuser bob may log in and is declared nowhere. Declare it, or end that: ALTER ROLE "bob" NOLOGIN;',
        ),
        (
            with_database(rights=CONNECT, grantors=frozenset({"bob", "crm_owner", "postgres"})),
            CRM_CONTENTS,
            "bob may hand on rights on the database crm, which is declared nowhere. To end it, and what it handed on: "
            'REVOKE GRANT OPTION FOR ALL ON DATABASE "crm" FROM "bob" CASCADE;',
        ),
        (
            CRM_STATE,
            replace(CRM_CONTENTS, definers=(("public.f(text)", "postgres"),)),
            "The function public.f(text) in crm does what it does as the superuser postgres, whoever calls it. Look at "
            "it; to end it: ALTER FUNCTION public.f(text) SECURITY INVOKER;",
        ),
        (
            CRM_STATE,
            replace(
                CRM_CONTENTS,
                catalogue=(
                    ("crm_app", "pg_shadow"),
                    ("crm_app", "pg_authid"),
                    ("pg_monitor", "pg_authid"),
                    ("pgbackrest", "pg_authid"),
                ),
            ),
            "crm_app has rights on PostgreSQL's own pg_shadow, pg_authid in crm, which is declared nowhere. To end it, "
            'such as: REVOKE ALL ON pg_shadow FROM "crm_app";',
        ),
        (
            replace(
                CRM_STATE,
                server_rights=(
                    ("PARAMETER log_statement", "crm_app", "SET"),
                    ("TABLESPACE pg_default", "bob", "CREATE"),
                ),
            ),
            CRM_CONTENTS,
            "crm_app has rights on PARAMETER log_statement, which is declared nowhere: SET. To end it: REVOKE SET ON "
            'PARAMETER log_statement FROM "crm_app";',
        ),
        (
            replace(CRM_STATE, handed=(("crm_rw", "bob", "eve"),)),
            CRM_CONTENTS,
            'bob is a member of crm_rw because eve granted it. To end it: REVOKE "crm_rw" FROM "bob" GRANTED BY "eve";',
        ),
        (
            with_database(template=True),
            CRM_CONTENTS,
            "The database crm is marked as a template: whoever may make databases may copy it. To end it: ALTER "
            'DATABASE "crm" IS_TEMPLATE false;',
        ),
        (
            replace(CRM_STATE, settings={**CRM_STATE.settings, ("", ""): {"statement_timeout": "1s"}}),
            CRM_CONTENTS,
            "Every session of the server has the setting statement_timeout = 1s, which is declared nowhere. To end it: "
            "ALTER ROLE ALL RESET statement_timeout;",
        ),
        (
            replace(CRM_STATE, settings={**CRM_STATE.settings, ("crm_app", "postgres"): {"work_mem": "1GB"}}),
            CRM_CONTENTS,
            "crm_app has the setting work_mem = 1GB in the database postgres, which is declared nowhere. To end it: "
            'ALTER ROLE "crm_app" IN DATABASE "postgres" RESET work_mem;',
        ),
        (
            CRM_STATE,
            with_relation(
                Relation(
                    "public",
                    "t",
                    "r",
                    "crm_owner",
                    rights(crm_rw="SELECT INSERT UPDATE DELETE", crm_ro="SELECT"),
                    frozenset({"crm_rw"}),
                )
            ),
            'crm_rw may hand on rights on TABLE "public"."t" in crm, which is declared nowhere. To end it, and what it '
            'handed on: REVOKE GRANT OPTION FOR ALL ON TABLE "public"."t" FROM "crm_rw" CASCADE;',
        ),
        (
            CRM_STATE,
            replace(CRM_CONTENTS, defaults={**CRM_CONTENTS.defaults, ("", "r"): rights(everybody="SELECT")}),
            "PUBLIC gets rights on what crm_owner makes in crm by default, which is declared nowhere. ALTER DEFAULT "
            "PRIVILEGES ends it.",
        ),
        (
            CRM_STATE,
            with_relation(
                Relation("public", "mine", "r", "bob", rights(bob="SELECT", crm_app="DELETE", everybody="INSERT"))
            ),
            "crm has tables that do not belong to crm_owner: public.mine (bob). Rights on some of them have crm_app, "
            'everybody. No run gives or takes rights on them. By hand: ALTER TABLE ... OWNER TO "crm_owner";',
        ),
        (
            CRM_STATE,
            replace(CRM_CONTENTS, columns=(("public", "t", "c", ("crm_owner",)), ("public", "t", "d", ("",)))),
            "Everybody has rights on columns in crm, which is declared nowhere: public.t.d. REVOKE ALL on the table "
            "ends it; the next run gives the rights that are declared.",
        ),
        (
            replace(CRM_STATE, memberships={**CRM_STATE.memberships, ("crm_rw", "bob"): True}),
            CRM_CONTENTS,
            'bob is a member of crm_rw, which is declared nowhere. To end it: REVOKE "crm_rw" FROM "bob";',
        ),
        (
            replace(CRM_STATE, memberships={**CRM_STATE.memberships, ("pg_read_all_data", "crm_app"): True}),
            CRM_CONTENTS,
            "crm_app is a member of pg_read_all_data, which is declared nowhere. To end it: "
            'REVOKE "pg_read_all_data" FROM "crm_app";',
        ),
        (
            replace(CRM_STATE, settings={**CRM_STATE.settings, ("crm_app", ""): {"work_mem": "1GB"}}),
            CRM_CONTENTS,
            "crm_app has the setting work_mem = 1GB in every database, which is declared nowhere. To end it: "
            'ALTER ROLE "crm_app" RESET work_mem;',
        ),
        (
            with_database(encoding="LATIN1"),
            CRM_CONTENTS,
            "The database crm has the encoding LATIN1, not UTF8. An encoding cannot be changed: declare that "
            "one, or move "
            "the data into a new database.",
        ),
        (
            with_database(rights={**CONNECT, **rights(bob="CONNECT")}),
            CRM_CONTENTS,
            "bob may CONNECT on the database crm, which is declared nowhere. To end it: "
            'REVOKE CONNECT ON DATABASE "crm" FROM "bob";',
        ),
        (
            CRM_STATE,
            replace(CRM_CONTENTS, schemas={**CRM_CONTENTS.schemas, "extra": SchemaState("crm_owner")}),
            "The database crm has schemas that are declared nowhere: extra. Declare them in the application "
            "crm, or drop "
            "them by hand.",
        ),
        (
            CRM_STATE,
            replace(CRM_CONTENTS, extensions={**CRM_CONTENTS.extensions, "hstore": ("public", "1.8")}),
            "The database crm has the extension hstore, which is declared nowhere. Declare it in the "
            "application crm, or "
            'drop it by hand: DROP EXTENSION "hstore";',
        ),
        (
            CRM_STATE,
            with_relation(Relation("public", "mine", "r", "bob", {})),
            "crm has tables that do not belong to crm_owner: public.mine (bob). No run gives or takes rights on them. "
            'By hand: ALTER TABLE ... OWNER TO "crm_owner";',
        ),
        (
            CRM_STATE,
            with_relation(
                Relation(
                    "public",
                    "open",
                    "r",
                    "crm_owner",
                    rights(crm_rw="SELECT INSERT UPDATE DELETE", crm_ro="SELECT INSERT", everybody=""),
                )
            ),
            'crm_ro may INSERT in crm on "public"."open", which is declared nowhere. Declare it in grants, or end it: '
            'REVOKE INSERT ON TABLE "public"."open" FROM "crm_ro";',
        ),
        (
            CRM_STATE,
            with_relation(
                Relation(
                    "public",
                    "open",
                    "r",
                    "crm_owner",
                    rights(crm_rw="SELECT INSERT UPDATE DELETE", crm_ro="SELECT", everybody="SELECT"),
                )
            ),
            'Everybody may SELECT in crm on "public"."open", which is declared nowhere. Declare it in grants, '
            "or end it: "
            'REVOKE SELECT ON TABLE "public"."open" FROM PUBLIC;',
        ),
        (
            CRM_STATE,
            replace(
                CRM_CONTENTS,
                defaults={
                    **CRM_CONTENTS.defaults,
                    ("public", "S"): {**CRM_CONTENTS.defaults[("public", "S")], **rights(bob="SELECT")},
                },
            ),
            "bob gets SELECT ON SEQUENCES in crm.public by default, which is declared nowhere. To end it: "
            f'{ALTER_DEFAULT} REVOKE SELECT ON SEQUENCES FROM "bob";',
        ),
        (
            CRM_STATE,
            replace(CRM_CONTENTS, defaults={**CRM_CONTENTS.defaults, ("", "r"): rights(bob="SELECT")}),
            "bob gets rights on what crm_owner makes in crm by default, which is declared nowhere. ALTER "
            "DEFAULT PRIVILEGES "
            "ends it.",
        ),
    ],
)
def test_what_is_declared_nowhere_is_reported_and_stays(state: ClusterState, found: Contents, expected: str) -> None:
    assert drift(state, found) == [expected]


def test_nobody_reports_the_collections_own() -> None:
    state = with_database(rights={**CONNECT, **rights(pgbackrest="CONNECT", ada="CONNECT")})
    state = replace(
        state,
        user="admin",
        roles={**state.roles, "ada": RoleState(superuser=True)},
        memberships={**state.memberships, ("crm_owner", "admin"): True},
    )
    assert drift(state, CRM_CONTENTS) == []


@pytest.mark.parametrize(
    ("given", "state", "expected"),
    [
        ({}, replace(CRM_STATE, in_recovery=True), ["this server is a standby; run on the primary"]),
        (
            {},
            changed("crm_app", superuser=True)[0],
            ['crm: the role crm_app is a superuser; declare another name, or run ALTER ROLE "crm_app" NOSUPERUSER'],
        ),
        (
            {},
            with_database(connection_limit=INVALID),
            ['crm: the database crm is what an interrupted DROP DATABASE left; run DROP DATABASE "crm"'],
        ),
        (
            {},
            with_database(connects=False),
            ['crm: the database crm takes no connections; run ALTER DATABASE "crm" ALLOW_CONNECTIONS true'],
        ),
        (
            {"extensions": [{"name": "pg_cron"}, {"name": "nonsense"}, {"name": "pgcrypto", "version": "9"}]},
            CRM_STATE,
            [
                "crm: the server has no extension pg_cron; write postgresql-16-cron into "
                "postgresql_server_extension_packages, or remove it from the application",
                "crm: the server has no extension nonsense; write the package that has it into "
                "postgresql_server_extension_packages, or remove it from the application",
                "crm: the server has no version 9 of the extension pgcrypto; write one of 1.2, 1.3",
            ],
        ),
        (
            {"extensions": [{"name": "pg_cron"}]},
            replace(CRM_STATE, superuser=False),
            ["crm: the server has no extension pg_cron; remove it from the application"],
        ),
        (
            {"locale": "de_DE.UTF-8"},
            replace(CRM_STATE, databases={}, locales=frozenset({"C", "C.utf8", "en_GB.utf8"})),
            [
                "crm: the server has no locale de_DE.UTF-8; make it on every database host (on Debian in "
                "/etc/locale.gen, then locale-gen), or write another one into locale"
            ],
        ),
    ],
)
def test_refusals(given: dict[str, Any], state: ClusterState, expected: list[str]) -> None:
    with pytest.raises(RefusalError) as refusal:
        planned(CRM | given, state, CRM_CONTENTS)
    assert refusal.value.texts == expected


def test_a_login_in_use_keeps_its_password_where_there_is_another() -> None:
    two = {"rotation": "alternating", "second_password": PASSWORD}
    entry = CRM | {"accounts": [CRM["accounts"][0] | two]}
    state, found = held(declared(entry))
    state = replace(state, sessions={"crm_app_a": 3, "crm_migrator": 1})
    with pytest.raises(RefusalError) as refusal:
        planned(entry, state, found, {"crm_app_a": "SCRAM-1", "crm_app_b": "SCRAM-2"})
    assert refusal.value.texts == [
        "crm: crm_app_a has 3 sessions and would get another password, which fails their next connections; move "
        "them to "
        "crm_app_b first, whose password may change now"
    ]
    result = planned(entry, state, found, {"crm_app_b": "SCRAM-2", "crm_migrator": "SCRAM-3"})
    assert sql(result) == [
        "ALTER ROLE \"crm_migrator\" PASSWORD 'SCRAM-3'",
        "ALTER ROLE \"crm_app_b\" PASSWORD 'SCRAM-2'",
    ]


def test_what_only_a_superuser_makes_is_left_to_the_provider() -> None:
    entry = CRM | {"extensions": [{"name": "pgcrypto"}, {"name": "pg_stat_statements"}]}
    result = planned(entry, replace(CRM_STATE, superuser=False), replace(CRM_CONTENTS, extensions={}))
    assert sql(result) == ['CREATE EXTENSION "pgcrypto" SCHEMA "public"']
    assert [f"{one.text} {one.advice}" for one in result.drift] == [
        "crm lacks the extension pg_stat_statements, which only a superuser makes. Make it by the means of the "
        "server's "
        "provider."
    ]


def test_removing() -> None:
    entry = CRM | {"state": "absent"}
    result = planned(entry, CRM_STATE, CRM_CONTENTS)
    assert [statement.sql for script in result.scripts for statement in script.statements] == [
        'DROP DATABASE "crm"',
        'DROP ROLE "crm_owner", "crm_rw", "crm_ro", "crm_migrator", "crm_app"',
    ]
    assert [script.together for script in result.scripts] == [False, True]
    assert planned(entry, ClusterState()).sql == ""


def many(count: int) -> tuple[Application, ClusterState]:
    """Return an application with many accounts, each a member of ten of a hundred group roles."""
    entry = application("big")
    entry["schemas"] = [{"name": f"s{number}"} for number in range(50)]
    entry["accounts"] = [
        {"name": f"a{number}", "member_of": [f"s{(number + step) % 50}_rw" for step in range(10)]}
        for number in range(count)
    ]
    return declared(entry), ClusterState(extensions={})


def test_ten_thousand_memberships_are_a_hundred_statements() -> None:
    one, state = many(1000)
    result = plan([one], [one], state, {}, {})
    grants = [text for text in sql(result) if text.startswith('GRANT "s')]
    assert len(grants) == 50
    assert sum(text.count('"a') * text.count("_rw") for text in grants) == 10_000


def test_the_cost_grows_with_the_number() -> None:
    def seconds(count: int) -> float:
        one, state = many(count)
        started = time.process_time()
        plan([one], [one], state, {}, {})
        return time.process_time() - started

    few, more = (min(seconds(count) for _ in range(3)) for count in (1000, 4000))
    assert more < 16 * max(few, 0.005)


def test_two_applications_do_not_drift_from_each_other() -> None:
    crm, shop = declared(CRM), declared(application("shop"))
    state, found = held(crm)
    other, _ = held(shop)
    both = replace(
        state,
        roles={**state.roles, **other.roles},
        memberships={**state.memberships, **other.memberships},
        databases={**state.databases, **other.databases},
        settings={**state.settings, **other.settings},
    )
    result = plan([crm], [crm, shop], both, {"crm": found}, {})
    assert (result.sql, result.drift) == ("", [])
    assert plan([shop], [crm, shop], both, {"shop": FRESH}, {}).sql.splitlines()[0] == (
        "-- in the database shop, one transaction"
    )
