"""The four applications on the live platform: who may do what, and what a run says and changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab import Lab

    from .conftest import Database

APPLY = "playbooks/apply_databases.yml"
CHECK = "playbooks/check_cluster.yml"
NAMES = ("creativeflow", "qrosity", "synergyflow", "cloudflow")


def sql(lab: Lab, database: str, statement: str) -> str:
    """Run SQL as the superuser in a database."""
    return lab.sql("db1", f"\\connect {database}\n{statement}")


def test_a_second_run_changes_nothing(lab: Lab) -> None:
    run = lab.at_rest(APPLY)
    assert "declared nowhere" not in run.output


def test_every_database_is_its_owners_and_closed_to_everybody(lab: Lab) -> None:
    for name in NAMES:
        owner = lab.sql(
            "db1", f"SELECT datdba::regrole, datacl::text ~ '[{{,]=' FROM pg_database WHERE datname = '{name}'"
        )
        assert owner == f"{name}_owner|f"
        assert sql(lab, name, "SELECT nspacl::text ~ '[{,]=' FROM pg_namespace WHERE nspname = 'public'") == "f"
    assert lab.sql("db1", "SELECT count(*) FROM pg_roles WHERE rolname ~ '_owner$' AND rolcanlogin") == "0"


def test_what_the_migrator_makes_belongs_to_the_owner_and_is_open_to_its_module_alone(
    lab: Lab, database: Callable[..., Database]
) -> None:
    migrator = database("synergyflow", "synergyflow_migrator")
    migrator.ask(
        "CREATE TABLE synergyflow_users.made (id bigserial PRIMARY KEY, word text);"
        "CREATE TABLE synergyflow_audit.audit_events_made (word text)"
    )
    try:
        assert (
            sql(lab, "synergyflow", "SELECT relowner::regrole FROM pg_class WHERE relname = 'made'")
            == "synergyflow_owner"
        )
        users = database("synergyflow", "synergyflow_users_app")
        assert (
            users.ask("INSERT INTO made (word) VALUES ('a') RETURNING id; UPDATE made SET word = 'b'; TABLE made")
            == "1\n1|b"
        )
        for statement in ("CREATE TABLE synergyflow_users.x ()", "CREATE TEMPORARY TABLE x ()", "TABLE pg_authid"):
            assert "permission denied" in users.refused(statement)
        other = database("synergyflow", "synergyflow_tasks_app")
        assert "permission denied for schema synergyflow_users" in other.refused("TABLE synergyflow_users.made")
        # What an exception takes away lasts from the next run on.
        run = lab.foretold(APPLY)
        assert run.changes == ["db1: rights synergyflow: 1 right: granted -> revoked"]
        audit = database("synergyflow", "synergyflow_audit_app")
        audit.ask("INSERT INTO audit_events_made VALUES ('a')")
        assert "permission denied for table audit_events_made" in audit.refused("DELETE FROM audit_events_made")
    finally:
        migrator.ask("DROP TABLE synergyflow_users.made, synergyflow_audit.audit_events_made")


def test_nobody_reaches_another_database(database: Callable[..., Database]) -> None:
    account = database("cloudflow", "creativeflow_app")
    assert "no authentication method is found" in account.refused("SELECT 1")
    past_the_pooler = database("cloudflow", "creativeflow_app", port=5432)
    assert "no pg_hba.conf entry" in past_the_pooler.refused("SELECT 1")


def test_no_verifier_was_written_down(lab: Lab) -> None:
    # A slow query that asks for the kind of a password is in the log too; a verifier goes on with its iterations.
    log = "/var/log/postgresql/postgresql-16-main.log"
    assert lab.shell("db1", f'grep -c "SCRAM-SHA-256.[0-9]" {log} || true') == "0"
    shown = "SELECT count(*) FROM pg_stat_statements WHERE query ~ 'SCRAM-SHA-256.[0-9]'"
    assert sql(lab, "creativeflow", shown) == "0"


CHANGED_BY_HAND = """
ALTER ROLE cloudflow_app CONNECTION LIMIT 7;
ALTER ROLE cloudflow_owner LOGIN;
ALTER ROLE cloudflow_app CREATEDB;
ALTER ROLE cloudflow_app PASSWORD 'x';
ALTER ROLE cloudflow_app IN DATABASE cloudflow SET statement_timeout = 0;
REVOKE cloudflow_rw FROM cloudflow_app;
GRANT cloudflow_owner TO cloudflow_app;
GRANT CONNECT ON DATABASE cloudflow TO PUBLIC;
GRANT CREATE ON SCHEMA public TO cloudflow_rw;
REVOKE USAGE ON SCHEMA public FROM cloudflow_ro;
ALTER DEFAULT PRIVILEGES FOR ROLE cloudflow_owner IN SCHEMA public REVOKE SELECT ON TABLES FROM cloudflow_ro;
"""
REPAIRED = [
    "role cloudflow_owner: login -> nologin",
    "role cloudflow_app: createdb -> without",
    "connection limit cloudflow_app: 7 -> 100",
    "role cloudflow_app: another password -> password set",
    "membership cloudflow_rw to cloudflow_app: absent -> granted",
    "membership cloudflow_owner to cloudflow_app: granted -> revoked",
    "rights cloudflow: 2 rights: granted -> revoked",
    "rights cloudflow: 1 right: absent -> granted",
    "default privileges cloudflow: 1 of its roles: absent -> granted",
    "setting cloudflow_app statement_timeout: 0 -> 30s",
]


def test_what_somebody_changed_is_shown_and_repaired(lab: Lab) -> None:
    sql(lab, "cloudflow", CHANGED_BY_HAND)
    looked = lab.playbook(CHECK)
    assert (
        f"warning: The databases are not as declared: {'; '.join(REPAIRED)}. Run site or apply_databases"
        in looked.output
    )
    run = lab.foretold(APPLY)
    assert sorted(run.changes) == sorted(f"db1: {change}" for change in REPAIRED)
    lab.at_rest(APPLY)


HANDED_ON = """
GRANT cloudflow_ro TO cloudflow_migrator WITH ADMIN OPTION;
SET ROLE cloudflow_migrator;
GRANT cloudflow_ro TO cloudflow_app;
RESET ROLE;
GRANT USAGE ON SCHEMA public TO cloudflow_rw WITH GRANT OPTION;
SET ROLE cloudflow_rw;
GRANT USAGE ON SCHEMA public TO qrosity_rw;
RESET ROLE;
ALTER DEFAULT PRIVILEGES FOR ROLE cloudflow_owner IN SCHEMA public
  GRANT SELECT ON TABLES TO cloudflow_ro WITH GRANT OPTION;
REVOKE ALL ON DATABASE cloudflow FROM cloudflow_owner;
REVOKE ALL ON SCHEMA public FROM pg_database_owner;
"""


def test_what_somebody_handed_on_or_took_from_the_owner_is_mended(lab: Lab) -> None:
    sql(lab, "cloudflow", HANDED_ON)
    run = lab.foretold(APPLY)
    assert sorted(run.changes) == [
        "db1: default privileges cloudflow: 1 of its roles: granted -> revoked",
        "db1: membership cloudflow_ro to cloudflow_app: granted by cloudflow_migrator -> revoked",
        "db1: membership cloudflow_ro to cloudflow_migrator: granted -> revoked",
        "db1: rights cloudflow: 2 rights: absent -> granted",
        'db1: rights to hand on cloudflow: SCHEMA "public" cloudflow_rw: granted -> revoked',
    ]
    assert sql(lab, "cloudflow", "SELECT has_schema_privilege('qrosity_rw', 'public', 'USAGE')") == "f"
    assert "isolation: 4 of 4 passed" in lab.playbook(CHECK, "-e", "depth=full").output
    lab.at_rest(APPLY)


STRAYS = """
CREATE DATABASE stray;
CREATE SCHEMA stray;
CREATE EXTENSION pgcrypto;
CREATE ROLE stray;
GRANT cloudflow_rw TO stray;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO stray;
CREATE TABLE foreign_table ();
GRANT SELECT ON pg_catalog.pg_shadow TO cloudflow_app;
GRANT SET ON PARAMETER log_statement TO cloudflow_app;
CREATE FUNCTION stray() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT rolpassword FROM pg_authid LIMIT 1';
ALTER ROLE ALL SET statement_timeout = '10min';
ALTER ROLE cloudflow_app IN DATABASE postgres SET work_mem = '1GB';
ALTER DEFAULT PRIVILEGES FOR ROLE cloudflow_owner GRANT SELECT ON TABLES TO PUBLIC;
SET ROLE cloudflow_owner;
CREATE TABLE open_table ();
GRANT INSERT ON open_table TO cloudflow_ro;
"""
UNDO = """
DROP DATABASE stray;
DROP SCHEMA stray;
DROP EXTENSION pgcrypto;
DROP OWNED BY stray;
DROP ROLE stray;
DROP TABLE foreign_table, open_table;
REVOKE SELECT ON pg_catalog.pg_shadow FROM cloudflow_app;
REVOKE SET ON PARAMETER log_statement FROM cloudflow_app;
DROP FUNCTION stray();
ALTER ROLE ALL RESET statement_timeout;
ALTER ROLE cloudflow_app IN DATABASE postgres RESET work_mem;
ALTER DEFAULT PRIVILEGES FOR ROLE cloudflow_owner REVOKE SELECT ON TABLES FROM PUBLIC;
"""
REPORTED = [
    "The database stray belongs to no application.",
    "The database cloudflow has schemas that are declared nowhere: stray.",
    "The database cloudflow has the extension pgcrypto, which is declared nowhere.",
    "Roles without a login are declared nowhere: stray.",
    "stray is a member of cloudflow_rw, which is declared nowhere.",
    "stray gets rights on what postgres makes in cloudflow by default, which is declared nowhere.",
    "cloudflow has tables that do not belong to cloudflow_owner: public.foreign_table (postgres).",
    'cloudflow_ro may INSERT in cloudflow on "public"."open_table", which is declared nowhere.',
    "cloudflow_app has rights on PostgreSQL's own pg_shadow in cloudflow, which is declared nowhere.",
    "cloudflow_app has rights on PARAMETER log_statement, which is declared nowhere: SET.",
    "The function public.stray() in cloudflow does what it does as the superuser postgres, whoever calls it.",
    "Every session of the server has the setting statement_timeout = 10min, which is declared nowhere.",
    "cloudflow_app has the setting work_mem = 1GB in the database postgres, which is declared nowhere.",
    "PUBLIC gets rights on what cloudflow_owner makes in cloudflow by default, which is declared nowhere.",
]


def test_what_is_declared_nowhere_is_reported_and_stays(lab: Lab) -> None:
    sql(lab, "cloudflow", STRAYS)
    try:
        for playbook in (APPLY, CHECK):
            run = lab.at_rest(playbook)
            assert [text for text in REPORTED if f"warning: {text}" not in run.output] == []
    finally:
        sql(lab, "cloudflow", UNDO)
    assert "declared nowhere" not in lab.playbook(CHECK).output


def test_one_application_is_added_and_removed(lab: Lab, with_crm: Path, database: Callable[..., Database]) -> None:
    run = lab.foretold(APPLY, "-e", f"@{with_crm}", "-e", "application=crm")
    assert "db1: database crm: absent -> present" in run.changes
    assert "  isolation: 1 of 1 passed, on crm" in run.output
    # Who may come in stands in pg_hba.conf, which the whole site writes.
    lab.playbook("site.yml", "-e", f"@{with_crm}")
    assert database("crm", "crm_app", "the account of crm").ask("SELECT current_user") == "crm_app"


def test_the_sql_is_shown_without_secrets(lab: Lab, with_crm: Path) -> None:
    run = lab.playbook(APPLY, "--check", "--diff", "-e", f"@{with_crm}")
    assert "+CREATE ROLE \"crm_app\" LOGIN CONNECTION LIMIT 10 PASSWORD '********';" in run.output
    assert '+GRANT CONNECT ON DATABASE "crm" TO "crm_ro", "crm_rw";' in run.output
    assert not re.search(r"SCRAM-SHA|the account of crm", run.output)
    assert lab.sql("db1", "SELECT count(*) FROM pg_database WHERE datname = 'crm'") == "0"


def test_an_extension_that_the_server_lacks_is_refused(lab: Lab, with_crm: Path) -> None:
    variables = yaml.safe_load(with_crm.read_text())
    variables["postgresql_applications"][-1]["extensions"] = [{"name": "hypopg"}]
    path = with_crm.with_name("refused.yml")
    path.write_text(yaml.safe_dump(variables))
    run = lab.playbook(APPLY, "-e", f"@{path}", expect=2)
    words = (
        "crm: the server has no extension hypopg; write postgresql-16-hypopg into postgresql_server_extension_packages"
    )
    assert words in run.output.replace("\\n", "\n")
    assert lab.sql("db1", "SELECT count(*) FROM pg_roles WHERE rolname ~ '^crm'") == "0"


def test_an_application_that_nobody_declares_is_refused_before_a_host_is_touched(lab: Lab) -> None:
    run = lab.playbook(APPLY, "-e", "application=cloudflw", expect=2)
    refusal = "application: cloudflw is not declared; write one of creativeflow, qrosity, synergyflow, cloudflow"
    assert refusal in run.output
    assert set(run.changed.values()) == {0}


def test_accounts_that_are_not_kept_apart_are_found(lab: Lab) -> None:
    passed = lab.playbook(CHECK, "-e", "depth=full")
    assert "isolation: 4 of 4 passed, on cloudflow, creativeflow, qrosity and synergyflow" in passed.output
    sql(lab, "cloudflow", "GRANT CONNECT ON DATABASE cloudflow TO qrosity_app")
    try:
        run = lab.playbook(CHECK, "-e", "depth=full", expect=2)
        words = "The accounts of qrosity are not kept apart: qrosity_app can connect to the database cloudflow."
        assert f"error: {words}" in run.output
    finally:
        sql(lab, "cloudflow", "REVOKE CONNECT ON DATABASE cloudflow FROM qrosity_app")
