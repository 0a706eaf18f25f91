"""Change settings on a running platform."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Run

DATABASES = ["db1", "db2", "db3"]


@pytest.fixture(autouse=True, scope="module")
def restored() -> Iterator[None]:
    """Bring the platform back to its own settings in the end; each test begins where the one before it left it."""
    yield
    lab = Lab()
    lab.playbook("site.yml", "-e", "postgresql_server_restart=true")
    assert set(lab.playbook("site.yml").changed.values()) == {0}


def converge(lab: Lab, parameters: dict[str, Any], *arguments: str, expect: int | None = 0) -> Run:
    values = json.dumps({"postgresql_server_parameters": parameters})
    return lab.playbook("site.yml", "-e", values, *arguments, expect=expect)


def foretold(lab: Lab, variables: dict[str, Any], *arguments: str) -> Run:
    """Converge, and compare what check mode predicted with what was then done."""
    return lab.foretold("site.yml", "-e", json.dumps(variables), *arguments)


def restarted(run: Run) -> list[str]:
    return sorted(change.partition(":")[0] for change in run.changes if change.endswith("-> restarted"))


def files(lab: Lab) -> dict[str, str]:
    """Every file of the configuration with its content and time, by host."""
    command = "find /etc/postgresql/16/main -type f -printf %p:%T@\\\\n -exec sha256sum {} + | sort"
    return {host: lab.shell(host, command) for host in DATABASES}


def started(lab: Lab) -> dict[str, float]:
    query = "SELECT extract(epoch FROM pg_postmaster_start_time())"
    return {host: float(lab.sql(host, query)) for host in DATABASES}


def values(lab: Lab, name: str) -> dict[str, str]:
    return {host: lab.sql(host, f"SHOW {name}") for host in DATABASES}


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
    held = converge(lab, {"max_connections": 150})
    assert values(lab, "max_connections") == dict.fromkeys(DATABASES, "250")
    assert held.output.count("150 waits for a restart") == len(DATABASES)
    less = {"postgresql_server_parameters": {"max_connections": 150}}
    assert restarted(foretold(lab, less, "-e", "postgresql_server_restart=true")) == DATABASES
    assert values(lab, "max_connections") == dict.fromkeys(DATABASES, "150")
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
        "install the package that brings it for PostgreSQL 16 first, or leave pg_cron out"
    ) in run.output
    assert (files(lab), started(lab)) == before


def test_what_only_a_restart_refutes_is_survived(lab: Lab) -> None:
    """No huge pages are reserved on these hosts, and that shows when the server starts."""
    converge(lab, {}, "-e", "postgresql_server_restart=true")
    before, since = files(lab), started(lab)
    for _ in range(2):
        run = converge(lab, {"huge_pages": "on"}, expect=2)
        assert "16/main did not restart" in run.output
        assert "could not map anonymous shared memory" in run.output
        assert "The former 10-server.conf is back in place, and the server serves with that." in run.output
        assert "db3 did not restart, for the reason that stands there." in run.output
        assert files(lab) == before
        now = started(lab)
        assert (now["db1"], now["db2"]) == (since["db1"], since["db2"])
        assert now["db3"] > since["db3"]
        streams = "SELECT count(*) FROM pg_stat_replication WHERE application_name = $$db3$$ AND state = $$streaming$$"
        lab.wait(lambda: lab.sql("db1", streams) == "1", 30)  # noqa: B023
    converge(lab, {"huge_pages": "off"})
    assert values(lab, "huge_pages") == {"db1": "try", "db2": "off", "db3": "off"}
    assert set(converge(lab, {"huge_pages": "off"}).changed.values()) == {0}


def test_the_configuration_that_worked_last_survives_several_runs(lab: Lab) -> None:
    """The primary never ran with what the runs before this one wrote; it comes back with what it runs with."""
    running = "grep -h ^huge_pages /etc/postgresql/16/main/conf.d/10-server.conf"
    kept = "/etc/postgresql/16/main/conf.d/10-server.conf.before-restart"
    since = started(lab)["db1"]
    assert lab.shell("db1", f"grep ^huge_pages {kept}").startswith("huge_pages = try")
    # As a run leaves it that was killed before the restart.
    converge(lab, {"huge_pages": "off", "work_mem": "3MB"})
    lab.shell("db1", "sed -i s/^huge_pages.*/huge_pages=on/ /etc/postgresql/16/main/conf.d/10-server.conf")
    lab.shell("db1", "systemctl restart postgresql@16-main", check=False)
    run = converge(lab, {"huge_pages": "on", "work_mem": "3MB"}, expect=2)
    assert "16/main did not start" in run.output
    assert "The former 10-server.conf is back in place, and the server serves with that." in run.output
    assert lab.shell("db1", running).startswith("huge_pages = try")
    assert started(lab)["db1"] > since
    converge(lab, {}, "-e", "postgresql_server_restart=true")
    assert lab.shell("db1", f"test ! -e {kept} && echo gone") == "gone"
    assert set(converge(lab, {}).changed.values()) == {0}


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
    own = "find /etc/postgresql /var/lib/steadfast /etc/systemd/system -printf %p:%T@\\n | sort | sha256sum"
    before = {host: lab.shell(host, own, check=False) for host in (*DATABASES, "ops1")}
    run = lab.playbook("site.yml", "-e", json.dumps(given), expect=2)
    assert "refused, and nothing was changed" in run.output
    assert f"- {text}" in run.output
    assert {host: lab.shell(host, own, check=False) for host in before} == before


def test_a_renewed_certificate_is_served_after_the_run_that_renews_it(lab: Lab) -> None:
    names = ["-e", json.dumps({"postgresql_certificates_names": ["db.example.com"]})]
    lab.playbook("site.yml", *names)
    for host in DATABASES:
        shown = lab.shell(host, "openssl s_client -connect localhost:5432 -starttls postgres < /dev/null 2> /dev/null")
        served = lab.shell(host, "openssl x509 -noout -ext subjectAltName", stdin=shown)
        assert "DNS:db.example.com" in served
    assert set(lab.playbook("site.yml", *names).changed.values()) == {0}
