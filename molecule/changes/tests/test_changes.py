"""Change settings on a running platform."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from settings import DATABASES, converge, files, started, values

if TYPE_CHECKING:
    from lab import Lab, Run


# Each test begins where the one before it left it.
pytestmark = pytest.mark.usefixtures("restored")


def foretold(lab: Lab, variables: dict[str, Any], *arguments: str) -> Run:
    """Converge, and compare what check mode predicted with what was then done."""
    return lab.foretold("site.yml", "-e", json.dumps(variables), *arguments)


def restarted(run: Run) -> list[str]:
    return sorted(change.partition(":")[0] for change in run.changes if change.endswith("-> restarted"))


def test_a_reload_is_enough_where_it_is(lab: Lab) -> None:
    before = started(lab)
    assert restarted(foretold(lab, {"postgresql_server_parameters": {"work_mem": "2MB"}})) == []
    assert values(lab, "work_mem") == dict.fromkeys(DATABASES, "2MB")
    assert started(lab) == before


def test_standbys_restart_and_the_primary_waits_until_it_may(lab: Lab) -> None:
    before = started(lab)
    more = {"postgresql_server_parameters": {"max_connections": 250}}
    run = foretold(lab, more)
    assert restarted(run) == ["db2", "db3"]
    assert values(lab, "max_connections") == {"db1": "200", "db2": "250", "db3": "250"}
    assert "db1 runs with max_connections 200, and 250 waits for a restart" in run.output
    at_rest = converge(lab, {"max_connections": 250})
    assert set(at_rest.changed.values()) == {0}
    assert restarted(foretold(lab, more, "-e", "postgresql_server_restart=true")) == ["db1"]
    assert values(lab, "max_connections") == dict.fromkeys(DATABASES, "250")
    after = started(lab)
    assert after["db1"] > max(after["db2"], after["db3"]) > before["db1"]


def test_the_primary_lowers_first(lab: Lab) -> None:
    held = converge(lab, {"max_connections": 180})
    assert values(lab, "max_connections") == dict.fromkeys(DATABASES, "250")
    assert held.output.count("180 waits for a restart") == len(DATABASES)
    less = {"postgresql_server_parameters": {"max_connections": 180}}
    assert restarted(foretold(lab, less, "-e", "postgresql_server_restart=true")) == DATABASES
    assert values(lab, "max_connections") == dict.fromkeys(DATABASES, "180")
    after = started(lab)
    assert after["db1"] < min(after["db2"], after["db3"])


def test_a_library_is_preloaded(lab: Lab) -> None:
    libraries = {"postgresql_server_preload_libraries": ["pg_stat_statements", "auto_explain"]}
    run = foretold(lab, libraries, "-e", "postgresql_server_restart=true")
    assert restarted(run) == DATABASES
    assert values(lab, "shared_preload_libraries") == dict.fromkeys(DATABASES, "pg_stat_statements, auto_explain")


def test_a_library_that_is_not_there_is_refused_before_anything_is_touched(lab: Lab) -> None:
    before = files(lab), started(lab)
    libraries = {"postgresql_server_preload_libraries": ["pg_stat_statements", "pg_cron"]}
    run = lab.playbook("site.yml", "-e", json.dumps(libraries), expect=2)
    path = lab.shell("db1", "/usr/lib/postgresql/16/bin/pg_config --pkglibdir") + "/pg_cron.so"
    assert (
        f"postgresql_server_preload_libraries: {path} is not there on db1, db2, db3, and nothing starts without it; "
        "write the package that brings it for PostgreSQL 16 into postgresql_server_extension_packages, or leave "
        "pg_cron out"
    ) in run.output
    assert (files(lab), started(lab)) == before


def test_a_new_file_of_the_service_waits_for_a_restart(lab: Lab) -> None:
    drop_in = "/etc/systemd/system/postgresql@16-main.service.d/limits.conf"
    for host in DATABASES:
        lab.shell(host, f'printf "[Service]\\nLimitCORE=0\\n" > {drop_in}')
    before = started(lab)
    run = foretold(lab, {})
    assert restarted(run) == ["db2", "db3"]
    assert f"db1 runs with {drop_in} as it was, and the new file waits for a restart" in run.output
    assert started(lab)["db1"] == before["db1"]
    assert restarted(foretold(lab, {}, "-e", "postgresql_server_restart=true")) == ["db1"]
    for host in DATABASES:
        limit = "systemctl show --property=MainPID --value postgresql@16-main"
        assert "Max core file size        0" in lab.shell(host, f"cat /proc/$({limit})/limits")
        lab.shell(host, f"rm {drop_in} && systemctl daemon-reload")


def test_a_bad_rule_never_stays(lab: Lab) -> None:
    path = "/etc/postgresql/16/main/pg_hba.conf"
    good = lab.shell("db1", f"cat {path}")
    # A regular expression that only the server can judge.
    rule = {
        "comment": "broken",
        "databases": ["/("],
        "users": ["someone"],
        "addresses": ["10.89.20.0/24"],
        "method": "scram-sha-256",
    }
    run = lab.playbook("site.yml", "-e", json.dumps({"postgresql_server_hba_rules": [rule]}), expect=2)
    assert "invalid regular expression" in run.output
    assert lab.shell("db1", f"cat {path}") == good
    assert lab.sql("db1", "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL") == "0"


def test_alter_system_is_refused_with_the_way_out(lab: Lab) -> None:
    lab.sql("db1", "ALTER SYSTEM SET work_mem = $$3MB$$")
    run = lab.playbook("site.yml", expect=2)
    assert "ALTER SYSTEM RESET work_mem" in run.output
    lab.sql("db1", "ALTER SYSTEM RESET work_mem")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"postgresql_port": 5433},
            "On db1, db2 and db3 the server runs on port 5432, and postgresql_port is 5433. Write 5432; or, to move "
            "it, run systemctl stop postgresql@16-main on every database host, then site.yml.",
        ),
        (
            {"postgresql_server_data_directory": "/srv/postgresql"},
            "On db1, db2 and db3 the server on port 5432 runs from /var/lib/postgresql/16/main. Write that as "
            "postgresql_server_data_directory, with the postgresql_cluster_name that it has; or write another "
            "postgresql_port.",
        ),
        (
            {"postgresql_cluster_name": "other"},
            "On db1, db2 and db3 the server on port 5432 runs from /var/lib/postgresql/16/main.",
        ),
    ],
    ids=["port", "data directory", "cluster name"],
)
def test_what_would_lose_sight_of_a_running_server_is_refused(lab: Lab, given: dict[str, Any], text: str) -> None:
    own = "find /etc/postgresql /var/lib/steadfast /etc/systemd/system -printf %p:%T@\\\\n | sort | sha256sum"
    before = {host: lab.shell(host, own) for host in (*DATABASES, "ops1")}
    run = lab.playbook("site.yml", "-e", json.dumps(given), expect=2)
    assert "refused, and nothing was changed" in run.output
    assert f"- {text}" in run.output
    assert {host: lab.shell(host, own) for host in before} == before


def test_a_renewed_certificate_is_served_after_the_run_that_renews_it(lab: Lab) -> None:
    names = ["-e", json.dumps({"postgresql_certificates_names": ["db.example.com"]})]
    lab.playbook("site.yml", *names)
    for host in DATABASES:
        shown = lab.shell(host, "openssl s_client -connect localhost:5432 -starttls postgres < /dev/null 2> /dev/null")
        served = lab.shell(host, "openssl x509 -noout -ext subjectAltName", stdin=shown)
        assert "DNS:db.example.com" in served
    lab.at_rest("site.yml", *names)
