"""The service: what the kernel ends first, what comes back by itself, and that a change behind its back is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lab import Lab

DATABASES = ["db1", "db2", "db3"]
UNIT = "postgresql@16-main.service"
DROP_IN = f"/etc/systemd/system/{UNIT}.d"
SCORES = "cat /proc/$(systemctl show --property=MainPID --value postgresql@16-main)/oom_score_adj"
OF_CHILDREN = (
    "pid=$(systemctl show --property=MainPID --value postgresql@16-main); "
    "for child in $(cat /proc/$pid/task/$pid/children); do cat /proc/$child/oom_score_adj; done"
)


def streams(lab: Lab) -> bool:
    return lab.sql("db1", "SELECT count(*) FROM pg_stat_replication WHERE state = $$streaming$$", check=False) == "2"


def restart(lab: Lab, host: str) -> None:
    lab.shell(host, "systemctl daemon-reload && systemctl restart postgresql@16-main")
    lab.wait(lambda: lab.sql(host, "SELECT 1", check=False) == "1" and streams(lab), 60)


@pytest.mark.parametrize("host", DATABASES)
def test_backends_are_ended_before_the_server(lab: Lab, host: str) -> None:
    assert lab.shell(host, f"systemctl show --property=OOMScoreAdjust --value {UNIT}") == "-900"
    children = lab.shell(host, OF_CHILDREN).split()
    assert len(children) > 3
    assert set(children) == {"0"}


def test_a_score_that_differs_from_the_units_is_named_until_the_server_starts_anew(lab: Lab) -> None:
    # A container may not lower a score, but it may raise one, by the same way.
    lab.shell("db3", f'printf "[Service]\\nOOMScoreAdjust=300\\n" > {DROP_IN}/zz.conf && systemctl daemon-reload')
    before = lab.shell("db3", SCORES)
    assert before != "300"
    shown = lab.playbook("playbooks/check_cluster.yml").output
    assert f"The server on db3 runs with the OOM score adjustment {before}, its unit says 300." in shown
    restart(lab, "db3")
    assert lab.shell("db3", SCORES) == "300"
    assert set(lab.shell("db3", OF_CHILDREN).split()) == {"0"}
    assert "The server on db3 runs with the OOM score" not in lab.playbook("playbooks/check_cluster.yml").output
    lab.shell("db3", f"rm {DROP_IN}/zz.conf")
    restart(lab, "db3")
    assert lab.shell("db3", SCORES) == before


def test_the_service_restarts_a_server_that_was_killed_and_keeps_its_data(lab: Lab) -> None:
    policy = "Restart,RestartUSec,StartLimitBurst,StartLimitIntervalUSec"
    shown = lab.shell("db1", f"systemctl show --property={policy} {UNIT}").splitlines()
    assert sorted(shown) == [
        "Restart=on-failure",
        "RestartUSec=2s",
        "StartLimitBurst=5",
        "StartLimitIntervalUSec=10min",
    ]
    lab.sql("db1", "DROP TABLE IF EXISTS survivors; CREATE TABLE survivors AS SELECT generate_series(1, 1000) AS id")
    pid = lab.shell("db1", f"systemctl show --property=MainPID --value {UNIT}")
    lab.shell("db1", f"kill -9 {pid}")
    lab.wait(lambda: lab.sql("db1", "SELECT count(*) FROM survivors", check=False) == "1000", 60)
    lab.wait(lambda: lab.shell("db1", f"systemctl is-active {UNIT}", check=False) == "active" and streams(lab), 60)
    assert lab.shell("db1", f"systemctl show --property=MainPID --value {UNIT}") not in {"0", pid}
    lab.sql("db1", "DROP TABLE survivors")


def test_what_somebody_changed_on_a_host_is_named_and_mended(lab: Lab) -> None:
    lab.shell("db2", f"systemctl disable {UNIT}")
    lab.shell("db2", f"echo >> {DROP_IN}/steadfast.conf")
    lab.shell("db2", "touch /etc/postgresql/16/main/pg_hba.conf")
    shown = lab.playbook("playbooks/check_cluster.yml", expect=2).output
    for finding in (
        "The server on db2 has not read what changed since its last load: /etc/postgresql/16/main/pg_hba.conf.",
        "systemd on db2 works with a former version of the server's unit.",
        "The server on db2 does not start with the host: its service is not enabled.",
    ):
        assert f"error: {finding}" in shown
    changes = lab.playbook("site.yml").changes
    assert f"db2: service {UNIT}: disabled -> enabled" in changes
    assert lab.shell("db2", f"systemctl is-enabled {UNIT}") == "enabled"
    lab.at_rest("site.yml")
