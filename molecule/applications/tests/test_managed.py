"""A server of a provider: no access to its host, no superuser, only a role with CREATEROLE and CREATEDB over TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab

APPLY = "playbooks/apply_databases.yml"
HOST, PORT = "db3", 5444
FOLDER = "/etc/ssl/postgresql/main"
# A second instance beside the platform's stands for it; nothing but SQL over the network is used of it.
MAKE = f"""
set -e
pg_createcluster 16 managed --port {PORT} -- --locale=C.UTF-8 --encoding=UTF8 >&2
cd /etc/postgresql/16/managed
printf '%s\\n' 'local all postgres peer' 'hostssl all all all scram-sha-256' > pg_hba.conf
printf "%s = '%s'\\n" ssl on ssl_cert_file {FOLDER}/server.crt ssl_key_file {FOLDER}/server.key listen_addresses '*' \\
  > conf.d/managed.conf
pg_ctlcluster 16 managed start >&2
"""
APPLICATION: dict[str, Any] = {
    "name": "crm",
    "comment": "Customers",
    "migrator": {"password": "the migrator of crm"},
    "schemas": [{"name": "public"}, {"name": "crm_audit"}],
    "accounts": [
        {
            "name": "crm_app",
            "password": "the account of crm",
            "member_of": ["crm_rw", "crm_audit_ro"],
            "connection_limit": 5,
            "settings": {"search_path": ["public", "crm_audit"], "statement_timeout": "30s"},
        }
    ],
    "extensions": [{"name": "pgcrypto"}, {"name": "pg_stat_statements"}],
}


@pytest.fixture
def variables(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """Variables that lead to a provider's server, which is there meanwhile."""
    lab.shell(HOST, "bash -s", stdin=MAKE)
    managed(lab, "CREATE ROLE provider LOGIN CREATEROLE CREATEDB PASSWORD $$the role of the provider$$")
    connection = {"host": HOST, "port": PORT, "user": "provider", "password": "the role of the provider"}
    path = tmp_path / "variables.yml"
    given = {
        "postgresql_hosts": HOST,
        "postgresql_applications": [APPLICATION],
        "postgresql_databases_connection": {**connection, "ca": f"{FOLDER}/ca.crt"},
    }
    path.write_text(yaml.safe_dump(given))
    yield path
    lab.shell(HOST, "pg_dropcluster --stop 16 managed")


def managed(lab: Lab, sql: str) -> str:
    """Run SQL as the provider itself would."""
    return lab.shell(
        HOST, f"cd / && runuser -u postgres -- psql -p {PORT} -XAtq -v ON_ERROR_STOP=1 -d postgres -f -", stdin=sql
    )


def test_the_schema_side_is_applied_without_a_superuser(lab: Lab, variables: Path) -> None:
    arguments = ("-v", "-e", f"@{variables}")
    run = lab.playbook(APPLY, *arguments)
    assert run.changed == {HOST: 1}
    assert "crm lacks the extension pg_stat_statements, which only a superuser makes." in " ".join(run.output.split())
    assert '"passed": true' in run.output
    assert managed(lab, "SELECT rolsuper FROM pg_roles WHERE rolname = $$provider$$") == "f"
    lab.at_rest(APPLY, *arguments)

    managed(
        lab,
        "ALTER ROLE crm_app CONNECTION LIMIT 3 PASSWORD $$another password$$; GRANT CONNECT ON DATABASE crm TO PUBLIC",
    )
    mended = lab.playbook(APPLY, *arguments)
    assert mended.changed == {HOST: 1}
    for words in (
        '"name": "crm_app", "to": "password set"',
        '"name": "crm_app", "to": "5"',
        '"name": "crm: 1 right", "to": "revoked"',
    ):
        assert words in mended.output
    lab.at_rest(APPLY, *arguments)


def test_mistakes_are_refused_before_the_server_is_asked(lab: Lab, variables: Path) -> None:
    given = yaml.safe_load(variables.read_text())
    given["postgresql_applications"][0]["accounts"][0]["member_of"] = ["shop_rw"]
    variables.write_text(yaml.safe_dump(given))
    run = lab.playbook(APPLY, "-e", f"@{variables}", expect=2)
    words = "postgresql_applications[0].accounts[0].member_of[0]: shop_rw is no group role of crm; write one of crm_rw"
    assert words in run.output
    assert managed(lab, "SELECT count(*) FROM pg_database WHERE datname = $$crm$$") == "0"
