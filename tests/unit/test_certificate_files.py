# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _certificate_facts,
    _certificate_files,
    _certificate_reason,
    _certificates,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificate_files import FileError, Place, Wish
from certificate_factory import DAY, PASSPHRASE, make, make_ca

NOW = datetime.datetime.now(datetime.timezone.utc)
GROUP = grp.getgrgid(os.getgid()).gr_name
SPAN: dict[str, Any] = {"begins": NOW - DAY, "ends": NOW + 30 * DAY}
CA = make_ca(**SPAN)
PROVIDED = make("db1", CA, **SPAN)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Let whoever runs the tests be root: who may not change owners owns the files anyway."""
    monkeypatch.setattr(_certificate_reason, "OWNER", pwd.getpwuid(os.getuid()).pw_name)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    return Place(tmp_path / "postgresql" / "main", GROUP)


def issue(place: Place, ca: Path, *, predict: bool = False) -> list[dict[str, str]]:
    """Do what the action plugin does, without Ansible."""
    changes, request = _certificate_files.request(place, "db1", predict=predict)
    descriptions = {"ca.crt": "CA", "server.crt": "db1, for 397 days"}
    if predict:
        contents = {"ca.crt": _certificates.bundle(str(ca)), "server.crt": None}
    else:
        _certificates.ensure(str(ca), "main", PASSPHRASE, 3650, NOW)
        authority = _certificates.load(str(ca), PASSPHRASE)
        policy = _certificate_reason.Policy("db1", ("192.0.2.11",), 397, GROUP)
        assert request is not None
        signed = _certificates.sign(request, authority, policy, NOW)
        contents = {"ca.crt": authority.bundle, "server.crt": _certificates.pem_of(signed)}
    wishes = {name: Wish(contents[name], descriptions[name]) for name in contents}
    return changes + _certificate_files.install(place, wishes, predict=predict)


def facts(place: Place) -> _certificate_facts.Facts:
    found = _certificate_facts.read(str(place.directory))
    assert found is not None
    return found


def content_of(place: Place, name: str) -> bytes:
    return (place.directory / name).read_bytes()


def change(place: Place, name: str, before: str, after: str) -> dict[str, str]:
    return {"kind": "certificate", "name": str(place.directory / name), "from": before, "to": after}


def test_a_fresh_host(place: Place, tmp_path: Path) -> None:
    predicted = issue(place, tmp_path / "ca", predict=True)
    assert list(tmp_path.iterdir()) == []
    done = issue(place, tmp_path / "ca")
    assert predicted == done
    assert done == [
        change(place, "server.key", "absent", "new key (EC P-256) that stays on this host"),
        change(place, "ca.crt", "absent", "CA"),
        change(place, "server.crt", "absent", "db1, for 397 days"),
    ]
    seen = facts(place)
    assert (seen["key_matches"], seen["ca_signed"], seen["names"]) == (True, True, ["db1", "192.0.2.11"])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.directory.iterdir()}
    assert modes == {"server.key": 0o640, "server.crt": 0o644, "ca.crt": 0o644}
    assert stat.S_IMODE(place.directory.stat().st_mode) == 0o755
    assert stat.S_IMODE(place.directory.parent.stat().st_mode) == 0o755


def test_a_renewal_keeps_the_key(place: Place, tmp_path: Path) -> None:
    issue(place, tmp_path / "ca")
    key, certificate, until = (
        content_of(place, "server.key"),
        content_of(place, "server.crt"),
        facts(place)["not_after"],
    )
    predicted = issue(place, tmp_path / "ca", predict=True)
    assert issue(place, tmp_path / "ca") == predicted
    day = datetime.datetime.fromtimestamp(until, datetime.timezone.utc)
    assert predicted == [change(place, "server.crt", f"db1, until {day:%Y-%m-%d}", "db1, for 397 days")]
    assert content_of(place, "server.key") == key
    assert content_of(place, "server.crt") != certificate


def test_a_new_ca_is_installed_with_the_certificate(place: Place, tmp_path: Path) -> None:
    issue(place, tmp_path / "ca")
    old = facts(place)["ca_fingerprints"][0]
    predicted = issue(place, tmp_path / "other", predict=True)
    assert [found["name"].rpartition("/")[2] for found in predicted] == ["ca.crt", "server.crt"]
    assert predicted[0]["from"] == f"sha256 {old[:16]}"
    assert issue(place, tmp_path / "other") == predicted
    assert facts(place)["ca_signed"]


@pytest.mark.parametrize("content", ["", "text", PROVIDED.key_pem("a long passphrase").decode()])
def test_a_key_that_cannot_be_read_is_put_aside(place: Place, tmp_path: Path, content: str) -> None:
    place.directory.mkdir(parents=True)
    (place.directory / "server.key").write_text(content, encoding="ascii")
    (place.directory / "server.key").chmod(0o640)
    predicted = issue(place, tmp_path / "ca", predict=True)
    done = issue(place, tmp_path / "ca")
    assert done == predicted
    assert done[0]["from"] == "a key that openssl cannot read"
    assert content_of(place, ".server.key.unreadable").decode() == content
    assert facts(place)["key_matches"]


def own(**changes: str) -> dict[str, Wish]:
    contents = {
        "server.key": PROVIDED.key_pem().decode(),
        "server.crt": PROVIDED.pem.decode(),
        "ca.crt": CA.pem.decode(),
        **changes,
    }
    return {name: Wish(content, f"as /files/{name}") for name, content in contents.items()}


def test_provided_files_replace_others(place: Place, tmp_path: Path) -> None:
    issue(place, tmp_path / "ca")
    predicted = _certificate_files.install(place, own(), predict=True)
    assert _certificate_files.install(place, own(), predict=False) == predicted
    assert [(found["name"].rpartition("/")[2], found["to"]) for found in predicted] == [
        ("server.key", "as /files/server.key"),
        ("ca.crt", "as /files/ca.crt"),
        ("server.crt", "as /files/server.crt"),
    ]
    assert predicted[0]["from"] == "another key"
    assert facts(place)["key_matches"]
    assert _certificate_files.install(place, own(), predict=False) == []


def test_a_certificate_of_another_key_is_not_installed(place: Place) -> None:
    wrong = own(**{"server.key": CA.key_pem().decode()})
    with pytest.raises(FileError) as refused:
        _certificate_files.install(place, wrong, predict=False)
    expected = f"the certificate does not belong to the key {place.directory}/server.key; nothing was installed"
    assert str(refused.value) == expected
    assert not place.directory.exists()


@pytest.mark.parametrize("killed_at", range(7))
def test_an_interrupted_renewal_leaves_a_pair(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    issue(place, tmp_path / "ca")
    calls: list[Any] = []

    def killed(call: Any) -> Any:
        def run(*given: Any, **named: Any) -> Any:
            calls.append(call)
            if len(calls) > killed_at:
                raise KeyboardInterrupt
            return call(*given, **named)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed(Path.rename))
        patch.setattr(Path, "chmod", killed(Path.chmod))
        patch.setattr(os, "fsync", killed(os.fsync))
        try:
            issue(place, tmp_path / "ca")
        except KeyboardInterrupt:
            assert len(calls) > killed_at
    assert facts(place)["key_matches"]
    _certificate_files.clean(place)
    issue(place, tmp_path / "ca")
    assert facts(place)["ca_signed"]
    assert sorted(path.name for path in place.directory.iterdir()) == ["ca.crt", "server.crt", "server.key"]


def test_permissions_are_mended(place: Place, tmp_path: Path) -> None:
    issue(place, tmp_path / "ca")
    key = place.directory / "server.key"
    key.chmod(0o644)
    owner = pwd.getpwuid(os.getuid()).pw_name
    expected = [change(place, "server.key", f"{owner}:{GROUP} 0644", f"{owner}:{GROUP} 0640")]
    assert _certificate_files.install(place, {}, predict=True) == expected
    assert stat.S_IMODE(key.stat().st_mode) == 0o644
    assert _certificate_files.install(place, {}, predict=False) == expected
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    assert _certificate_files.install(place, {}, predict=False) == []


def test_a_missing_group_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    place = Place(tmp_path / "files", "no-such-group")
    assert len(_certificate_files.request(place, "db1", predict=True)[0]) == 1
    with pytest.raises(FileError) as refused:
        _certificate_files.request(place, "db1", predict=False)
    assert str(refused.value) == "the group no-such-group does not exist on this host"
    assert list(tmp_path.iterdir()) == []


def test_without_openssl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileError) as refused:
        _certificate_files.request(Place(tmp_path / "files", GROUP), "db1", predict=False)
    assert str(refused.value) == "the command openssl does not run on this host; install the package openssl"


def test_a_prediction_where_openssl_is_still_to_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    changes, request = _certificate_files.request(Place(tmp_path / "files", GROUP), "db1", predict=True)
    assert ([change["from"] for change in changes], request) == (["absent"], None)


@pytest.mark.parametrize("predict", [False, True])
@pytest.mark.parametrize("there", [False, True])
def test_the_group_is_made_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, predict: bool, there: bool
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(_certificate_files, "run", ran.append)
    group = GROUP if there else "steadfast-no-such-group"
    changes = _certificate_files.make_group(Place(tmp_path, group), predict=predict)
    assert changes == ([] if there else [{"kind": "group", "name": group, "from": "absent", "to": "present"}])
    assert ran == ([] if there or predict else [["groupadd", "--system", group]])


@pytest.mark.parametrize("name", ["db1\nCN = x", "a/b", "$ENV::HOME", "ü", ""])
def test_odd_common_names_do_not_reach_openssl(place: Place, name: str) -> None:
    with pytest.raises(FileError) as refused:
        _certificate_files.request(place, name, predict=False)
    assert str(refused.value) == f"{name!r} cannot be a common name"
