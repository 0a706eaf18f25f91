"""Replace certificates, and the CA, while a client writes over verified TLS and the standbys stream."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from client import AUTHORITY, connections

if TYPE_CHECKING:
    from client import Client
    from lab import Lab

DATABASES = ["db1", "db2", "db3"]
MEMBERS = [*DATABASES, "ops1"]
PLAYBOOK = "playbooks/rotate_certificates.yml"
CONFIRM = ("-e", "confirm=main")
TRUST, SIGN, RETIRE = (("-e", f"scope={step}", *CONFIRM) for step in ("ca", "sign_ca", "retire_ca"))
SHOWN = "openssl s_client -connect localhost:5432 -starttls postgres -nameopt RFC2253 < /dev/null 2> /dev/null"
REFUSED = (
    "Cluster main: refused, and nothing was changed.\\n- Another CA is made for main, and all members trust it beside "
    "the present one. To go on, write -e confirm=main"
)


def served(lab: Lab, host: str) -> tuple[str, str]:
    """Return serial number and issuer of the certificate that a server shows."""
    shown = lab.shell(host, SHOWN)
    words = lab.shell(host, "openssl x509 -noout -serial -issuer -nameopt RFC2253", stdin=shown)
    serial, issuer = words.splitlines()
    return serial.removeprefix("serial="), issuer.removeprefix("issuer=CN=")


def issuers(lab: Lab) -> set[str]:
    return {served(lab, host)[1] for host in DATABASES}


def taken(lab: Lab) -> list[set[str]]:
    """Return the CAs whose client certificates each server says that it takes."""
    found = []
    for host in DATABASES:
        lines = lab.shell(host, SHOWN).splitlines()
        names = lines[lines.index("Acceptable client certificate CA names") + 1 :]
        found.append({name.removeprefix("CN=") for name in names[:3] if name.startswith("CN=")})
    return found


def name_of_ca(lab: Lab) -> str:
    words = lab.shell("ops1", "openssl x509 -noout -subject -nameopt RFC2253", stdin=(AUTHORITY / "ca.crt").read_text())
    return words.removeprefix("subject=CN=")


def recorded(lab: Lab, host: str) -> list[list[str]]:
    lines = lab.shell(host, "grep rotate_certificates /var/lib/steadfast/main/journal.jsonl").splitlines()
    entries = [json.loads(line) for line in lines]
    return [entry.get("to") or entry["hosts"] for entry in entries]


def test_one_member_gets_a_new_certificate(lab: Lab) -> None:
    before = {host: served(lab, host) for host in DATABASES}
    streams = connections(lab)
    run = lab.foretold(PLAYBOOK, "--limit", "db2")
    assert run.changed.keys() == {"db2"}
    after = {host: served(lab, host) for host in DATABASES}
    assert {host for host in DATABASES if before[host] != after[host]} == {"db2"}
    assert after["db2"][1] == before["db2"][1]
    assert connections(lab) == streams


def test_the_ca_is_replaced_without_an_interruption(lab: Lab, client: Client) -> None:
    old = name_of_ca(lab)
    new = f"{old} 2"
    streams = connections(lab)
    assert len(streams) == 2
    client.start()

    assert REFUSED in lab.playbook(PLAYBOOK, "-e", "scope=ca", expect=2).output

    # Some trust both, the others will after the same command, and a run of the whole leaves it so.
    lab.killed("Make the services read them", PLAYBOOK, *TRUST)
    lab.playbook(PLAYBOOK, *TRUST)
    assert (issuers(lab), taken(lab)) == ({old}, 3 * [{old, new}])
    run = lab.playbook("site.yml")
    assert set(run.changed.values()) == {0}
    assert f"The CA is being replaced: {new} is made and does not sign yet." in run.output
    assert issuers(lab) == {old}

    client.gets_authority()
    lab.killed("Make the services read it", PLAYBOOK, *SIGN)
    run = lab.playbook(PLAYBOOK, *SIGN)
    assert f"The CA was replaced: {new} signs, and {old} is still trusted." in run.output
    assert (issuers(lab), taken(lab)) == ({new}, 3 * [{old, new}])
    assert name_of_ca(lab) == new
    client.goes_on()

    lab.playbook(PLAYBOOK, *RETIRE)
    assert (issuers(lab), taken(lab)) == ({new}, 3 * [{new}])
    client.goes_on()

    acknowledged, words = client.stop()
    assert words == []
    assert client.rows() == acknowledged > 0
    assert connections(lab) == streams
    says = [[f"{old} signs", f"{new} is trusted"], [f"{new} signs", f"{old} is trusted"], [f"{new} signs"]]
    for host in MEMBERS:
        assert recorded(lab, host)[-3:] == says
