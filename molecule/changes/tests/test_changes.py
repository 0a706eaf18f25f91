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


def started(lab: Lab) -> dict[str, float]:
    query = "SELECT extract(epoch FROM pg_postmaster_start_time())"
    return {host: float(lab.sql(host, query)) for host in DATABASES}


def values(lab: Lab, name: str) -> dict[str, str]:
    return {host: lab.sql(host, f"SHOW {name}") for host in DATABASES}


def test_a_reload_is_enough_where_it_is(lab: Lab) -> None:
    before = started(lab)
    converge(lab, {"work_mem": "2MB"})
    assert values(lab, "work_mem") == dict.fromkeys(DATABASES, "2MB")
    assert started(lab) == before


def test_standbys_restart_and_the_primary_waits_until_it_may(lab: Lab) -> None:
    before = started(lab)
    run = converge(lab, {"max_connections": 250})
    assert values(lab, "max_connections") == {"db1": "200", "db2": "250", "db3": "250"}
    assert "db1 runs with max_connections 200, and 250 waits for a restart" in run.output
    converge(lab, {"max_connections": 250}, "-e", "postgresql_server_restart=true")
    assert values(lab, "max_connections") == dict.fromkeys(DATABASES, "250")
    after = started(lab)
    assert after["db1"] > max(after["db2"], after["db3"]) > before["db1"]


def test_the_primary_lowers_first(lab: Lab) -> None:
    held = converge(lab, {"max_connections": 150})
    assert values(lab, "max_connections") == dict.fromkeys(DATABASES, "250")
    assert held.output.count("150 waits for a restart") == len(DATABASES)
    converge(lab, {"max_connections": 150}, "-e", "postgresql_server_restart=true")
    assert values(lab, "max_connections") == dict.fromkeys(DATABASES, "150")
    after = started(lab)
    assert after["db1"] < min(after["db2"], after["db3"])


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


def test_a_renewed_certificate_is_served_after_the_run_that_renews_it(lab: Lab) -> None:
    names = ["-e", json.dumps({"postgresql_certificates_names": ["db.example.com"]})]
    lab.playbook("site.yml", *names)
    for host in DATABASES:
        shown = lab.shell(host, "openssl s_client -connect localhost:5432 -starttls postgres < /dev/null 2> /dev/null")
        served = lab.shell(host, "openssl x509 -noout -ext subjectAltName", stdin=shown)
        assert "DNS:db.example.com" in served
    assert set(lab.playbook("site.yml", *names).changed.values()) == {0}
