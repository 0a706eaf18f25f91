"""`check_cluster -e depth=full`: it tries every server from every host, touches nothing, and names what is wrong."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from lab import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Lab, Run

DATABASES = ["db1", "db2", "db3"]
MEMBERS = [*DATABASES, "ops1"]
FROM_ALL = "from db1, db2, db3 and ops1"
PASSED = f"""\
Tried:
  plaintext: 12 of 12 passed, on db1, db2 and db3, {FROM_ALL}
  TLS 1.1: 12 of 12 passed, on db1, db2 and db3, {FROM_ALL}
  verified TLS: 12 of 12 passed, on db1, db2 and db3, {FROM_ALL}
  write: 1 of 1 passed, on db1
  replay: 2 of 2 passed, on db2 and db3
"""
RULES = "/etc/postgresql/16/main/pg_hba.conf"
TLS = "'TLSv1.2'"
BY_HAND = "/etc/postgresql/16/main/conf.d/99-by-hand.conf"
FILES = (
    "find /etc/postgresql /etc/postgresql-common /etc/ssl/postgresql /etc/systemd/system /etc/apt /usr/local/lib "
    '/var/lib/steadfast -printf "%p %T@ %C@ %s %m %u\\n" | sort'
)
SERVER = """
SELECT pg_postmaster_start_time(), pg_conf_load_time(), (SELECT string_agg(pg_roles::text, ' ') FROM pg_roles),
  (SELECT string_agg(slot_name, ' ') FROM pg_replication_slots), current_setting('synchronous_standby_names')
"""


def check(lab: Lab, expect: int = 0) -> Run:
    return lab.playbook("playbooks/check_cluster.yml", "-e", "depth=full", expect=expect)


def state(lab: Lab) -> dict[str, str]:
    """Everything on the hosts that a run could change."""
    seen = {host: lab.shell(host, FILES) for host in MEMBERS}
    return seen | {f"the server on {host}": lab.sql(host, SERVER) for host in DATABASES}


def reload(lab: Lab, host: str) -> None:
    """Make a server read its files, and wait until it has."""
    before = lab.sql(host, "SELECT pg_conf_load_time()")
    lab.sql(host, "SELECT pg_reload_conf()")
    lab.wait(lambda: lab.sql(host, "SELECT pg_conf_load_time()") != before, 10)


@pytest.fixture(autouse=True)
def as_before(lab: Lab) -> Iterator[None]:
    """Give back to each server the files that it had."""
    for host in DATABASES:
        lab.shell(host, f"cp -a {RULES} /root/rules")
    yield
    for host in DATABASES:
        lab.shell(host, f"rm -f {BY_HAND} && mv /root/rules {RULES}")
        reload(lab, host)


def test_what_somebody_put_beside_our_files_is_named_until_it_is_gone(lab: Lab) -> None:
    lab.shell("db1", f'printf "synchronous_commit = off\\nwork_mem = 8MB\\n" > {BY_HAND}')
    reload(lab, "db1")
    found = lab.playbook("playbooks/check_cluster.yml", expect=2)
    assert "db1 runs with synchronous_commit off, which breaks the promise" in found.output
    assert (
        f"db1 runs with synchronous_commit, work_mem by {BY_HAND}, which is no file of the collection." in found.output
    )
    lab.shell("db1", f"rm {BY_HAND}")
    found = lab.playbook("playbooks/check_cluster.yml", expect=2)
    assert "db1 runs with synchronous_commit off, which breaks the promise" in found.output
    assert lab.playbook("site.yml").changed["db1"] == 1
    lab.playbook("playbooks/check_cluster.yml")


def test_a_bad_line_of_somebody_else_is_named_before_the_next_start_fails_with_it(lab: Lab) -> None:
    lab.shell("db3", f'echo "work_mem = rubbish" > {BY_HAND}')
    found = lab.playbook("playbooks/check_cluster.yml", expect=2)
    assert f"db3 has a bad line in its configuration: {BY_HAND} line 1: work_mem: " in found.output
    found = lab.playbook("site.yml", expect=2)
    assert f"16/main refuses its configuration: {BY_HAND} line 1: work_mem: " in found.output


def test_every_host_tries_every_server_and_nothing_is_touched(lab: Lab) -> None:
    before = state(lab)
    run = check(lab)
    assert PASSED in run.output
    assert set(run.changed.values()) == {0}
    assert state(lab) == before


@pytest.mark.parametrize(
    ("method", "answers"),
    [
        ("scram-sha-256", [f"{FROM_ALL}: it goes on without TLS"]),
        # The firewall of the other hosts lets nobody ask them who their user is.
        (
            "ident",
            [
                "from db1, db2 and ops1: no answer: timed out",
                "from db3: it refuses something else, 28000: Ident authentication failed for user",
            ],
        ),
    ],
)
def test_a_rule_that_lets_in_without_tls(lab: Lab, method: str, answers: list[str]) -> None:
    lab.shell("db3", f'printf "\\nhost all all 10.89.20.0/24 {method}\\n" >> {RULES}')
    reload(lab, "db3")
    run = check(lab, expect=2)
    for answer in answers:
        assert f"error: db3 fails the probe plaintext {answer}" in run.output
    assert "plaintext: 8 of 12 passed" in run.output
    assert "db1 fails" not in run.output


def test_an_old_version_of_tls(lab: Lab) -> None:
    lab.shell("db2", f'echo "ssl_min_protocol_version = TLSv1.1" > {BY_HAND}')
    reload(lab, "db2")
    run = check(lab, expect=2)
    assert f"error: db2 fails the probe TLS 1.1 {FROM_ALL}: it accepts TLS 1.1." in run.output
    assert f"error: db2 runs with ssl_min_protocol_version TLSv1.1 by {BY_HAND}, not with {TLS}." in run.output
    assert "TLS 1.1: 8 of 12 passed" in run.output


def test_an_old_version_of_tls_by_alter_system(lab: Lab) -> None:
    lab.sql("db1", "ALTER SYSTEM SET ssl_min_protocol_version = $$TLSv1.1$$")
    reload(lab, "db1")
    run = check(lab, expect=2)
    assert "ALTER SYSTEM RESET ssl_min_protocol_version" in run.output
    lab.sql("db1", "ALTER SYSTEM RESET ssl_min_protocol_version")


def test_a_standby_that_does_not_replay(lab: Lab) -> None:
    lab.sql("db3", "SELECT pg_wal_replay_pause()")
    run = check(lab, expect=2)
    assert "error: A write on db1 did not arrive on db3: replay of " in run.output
    assert "did not happen within 30 s; replay is paused." in run.output
    assert "replay: 1 of 2 passed, on db2 and db3" in run.output
    lab.sql("db3", "SELECT pg_wal_replay_resume()")


def test_a_primary_that_takes_no_write(lab: Lab) -> None:
    # For text and for bytes.
    rename = "ALTER FUNCTION pg_catalog.{0}(boolean, text, text) RENAME TO {1}; " + (
        "ALTER FUNCTION pg_catalog.{0}(boolean, text, bytea) RENAME TO {1}"
    )
    lab.sql("db1", rename.format("pg_logical_emit_message", "hidden"))
    try:
        run = check(lab, expect=2)
    finally:
        lab.sql("db1", rename.format("hidden", "pg_logical_emit_message"))
    assert "error: db1 did not take a write: /usr/lib/postgresql/16/bin/psql ended with status 3: ERROR: " in run.output
    assert "write: 0 of 1 passed, on db1" in run.output
    assert "replay" not in run.output.split("Tried:")[1].split("findings")[0]
    assert "undefined" not in run.output


def without_identifiers(pem: str) -> bytes:
    """Issue a certificate again as a simple CA of users' own does: without key identifiers."""
    passphrase = yaml.safe_load((STATE / "secrets.yml").read_text())["ca_passphrase"].encode()
    key = serialization.load_pem_private_key((STATE / "ca" / "ca.key").read_bytes(), passphrase)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    given = x509.load_pem_x509_certificate(pem.encode())
    names = given.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(given.subject)
        .issuer_name(given.issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=300))
        .public_key(given.public_key())
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def test_a_certificate_that_libpq_takes_and_python_would_not(lab: Lab) -> None:
    path = "/etc/ssl/postgresql/main/server.crt"
    made = without_identifiers(lab.shell("db3", f"cat {path}"))
    lab.shell("db3", f"cp -a {path} {path}.kept && cat > {path}", stdin=made.decode())
    reload(lab, "db3")
    try:
        strict = (
            "import socket, ssl, sys; context = ssl.create_default_context(cafile=sys.argv[1]); "
            "context.verify_flags |= ssl.VERIFY_X509_STRICT; plain = socket.create_connection((sys.argv[2], 5432)); "
            "plain.sendall(bytes([0, 0, 0, 8, 4, 210, 22, 47])); plain.recv(1); "
            "context.wrap_socket(plain, server_hostname=sys.argv[2])"
        )
        ca = "/etc/ssl/postgresql/main/ca.crt"
        refused = lab.ssh("db1", f"python3 - {ca} 10.89.20.13", stdin=strict)
        assert "Missing Authority Key Identifier" in refused.stderr
        assert PASSED in check(lab).output
    finally:
        lab.shell("db3", f"mv {path}.kept {path}")


def test_nothing_is_left(lab: Lab) -> None:
    lab.at_rest("site.yml")
    assert PASSED in check(lab).output
