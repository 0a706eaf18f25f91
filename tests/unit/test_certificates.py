# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import multiprocessing
import stat
from pathlib import Path
from typing import Any

import certificate_factory as factory
import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.steadfast.postgresql.plugins.filter.certificate_reason import certificate_reason
from ansible_collections.steadfast.postgresql.plugins.filter.certificate_trust import certificate_trust
from ansible_collections.steadfast.postgresql.plugins.module_utils import _certificate_checks, _certificates
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificate_reason import (
    Anchor,
    Policy,
    Provided,
    Reason,
    names_of,
    wanted,
    wanted_provided,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificates import CertificateError
from certificate_factory import DAY, NOW, PASSPHRASE, make, make_ca
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

POLICY = Policy("db1", ("192.0.2.11", "db1.example.com"), 397, "ssl-cert")
ANCHOR = Anchor("0a0b", ("f1",), (NOW + 3000 * DAY).timestamp())


def facts(**changes: Any) -> dict[str, Any]:
    return {
        "cn": "db1",
        "names": ["db1", "192.0.2.11", "db1.example.com"],
        "not_before": (NOW - DAY).timestamp(),
        "not_after": (NOW + 396 * DAY).timestamp(),
        "issuer": "main PostgreSQL CA",
        "issuer_key_id": "0a0b",
        "fingerprint": "aa",
        "chain_fingerprints": [],
        "ca_fingerprints": ["f1"],
        "key_matches": True,
        "key_permissions": "root:ssl-cert 0640",
        "ca_signed": True,
        **changes,
    }


def until(**days: int) -> dict[str, Any]:
    ends = NOW + datetime.timedelta(**days)
    return {"not_before": (ends - 397 * DAY).timestamp(), "not_after": ends.timestamp()}


@pytest.mark.parametrize(
    ("seen", "anchor", "expected"),
    [
        pytest.param(facts(), ANCHOR, None, id="all is well"),
        pytest.param(facts(), None, None, id="no CA on this controller and nothing to do"),
        pytest.param(facts(names=["DB1", "192.0.2.11", "DB1.example.com", "old"]), ANCHOR, None, id="more names"),
        pytest.param(facts(**until(days=133)), ANCHOR, None, id="more than a third is left"),
        pytest.param(
            facts(**until(days=10)),
            Anchor("0a0b", ("f1",), (NOW + 10 * DAY).timestamp()),
            None,
            id="a renewal would gain nothing",
        ),
        pytest.param(facts(key_permissions=None), ANCHOR, None, id="permissions unknown"),
        pytest.param(None, ANCHOR, Reason(True, "it has no certificate"), id="none"),
        pytest.param(None, None, Reason(True, "it has no certificate"), id="neither certificate nor CA"),
        pytest.param(facts(**until(days=132)), ANCHOR, Reason(True, "132 of its 397 days are left"), id="a third"),
        pytest.param(facts(**until(days=132)), None, Reason(True, "132 of its 397 days are left"), id="without a CA"),
        pytest.param(facts(**until(days=0)), ANCHOR, Reason(True, "it expired on 2026-06-01"), id="expired"),
        pytest.param(
            facts(not_before=(NOW + DAY).timestamp()),
            ANCHOR,
            Reason(True, "it is not valid before 2026-06-02"),
            id="too early",
        ),
        pytest.param(
            facts(not_after=(NOW + 800 * DAY).timestamp()),
            ANCHOR,
            Reason(True, "it is valid for 801 days, more than 397"),
            id="the lifetime was shortened",
        ),
        pytest.param(
            facts(cn="db2"), ANCHOR, Reason(True, "its common name is 'db2', not 'db1'"), id="another common name"
        ),
        pytest.param(facts(names=["db1"]), ANCHOR, Reason(True, "it lacks the names 192.0.2.11, db1.example.com")),
        pytest.param(facts(names=["192.0.2.11", "db1.example.com"]), ANCHOR, Reason(True, "it lacks the name db1")),
        pytest.param(
            facts(key_matches=False), ANCHOR, Reason(True, "its key is missing or does not match its certificate")
        ),
        pytest.param(
            facts(issuer_key_id="0c", issuer="old CA", ca_fingerprints=["f0"]),
            ANCHOR,
            Reason(True, "its issuer 'old CA' is not the present CA"),
            id="another CA",
        ),
        pytest.param(facts(issuer_key_id=None, issuer=""), ANCHOR, Reason(True, "its issuer '' is not the present CA")),
        pytest.param(facts(ca_signed=False), ANCHOR, Reason(True, "its CA did not sign it"), id="not signed"),
        pytest.param(facts(ca_signed=False), None, Reason(True, "its CA did not sign it"), id="not signed, no CA"),
        pytest.param(
            facts(ca_fingerprints=[], ca_signed=False),
            ANCHOR,
            Reason(False, "its ca.crt is another than the controller's"),
            id="no ca.crt",
        ),
        pytest.param(
            facts(),
            Anchor("0a0b", ("f1", "f2"), ANCHOR.not_after),
            Reason(False, "its ca.crt is another than the controller's"),
            id="a second CA to trust",
        ),
        pytest.param(
            facts(ca_fingerprints=["f1", "f2"]),
            Anchor("0c", ("f2", "f1"), ANCHOR.not_after),
            Reason(True, "its issuer 'main PostgreSQL CA' is not the present CA"),
            id="the second CA signs now",
        ),
        pytest.param(
            facts(key_permissions="root:root 0644"),
            ANCHOR,
            Reason(False, "its key is root:root 0644, not root:ssl-cert 0640"),
            id="permissions",
        ),
        pytest.param(
            facts(key_permissions="root:root 0644", ca_fingerprints=[]),
            ANCHOR,
            Reason(
                False,
                "its ca.crt is another than the controller's; its key is root:root 0644, not root:ssl-cert 0640",
            ),
            id="two things to mend",
        ),
        pytest.param(
            facts(cn="db2", names=["db1"], **until(days=-1)),
            ANCHOR,
            Reason(
                True,
                "its common name is 'db2', not 'db1'; it lacks the names 192.0.2.11, db1.example.com; "
                "it expired on 2026-05-31",
            ),
            id="all reasons",
        ),
    ],
)
def test_wanted(seen: dict[str, Any] | None, anchor: Anchor | None, expected: Reason | None) -> None:
    assert wanted(seen, POLICY, anchor, NOW.timestamp()) == expected


GIVEN = Provided("aa", ("bb",), ("f1",))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (facts(chain_fingerprints=["bb"]), None),
        (facts(chain_fingerprints=["bb"], cn="x", names=[], ca_signed=False, **until(days=1)), None),
        (None, "it has no certificate"),
        (facts(), "the provided certificate is another"),
        (facts(chain_fingerprints=["bb"], fingerprint="ab"), "the provided certificate is another"),
        (facts(chain_fingerprints=["bb"], ca_fingerprints=["f1", "f2"]), "the provided CA file is another"),
        (facts(chain_fingerprints=["bb"], key_matches=False), "its key does not match its certificate"),
        (
            facts(chain_fingerprints=["bb"], key_permissions="root:root 0640"),
            "its key is root:root 0640, not root:ssl-cert 0640",
        ),
    ],
)
def test_wanted_provided(seen: dict[str, Any] | None, expected: str | None) -> None:
    assert wanted_provided(seen, GIVEN, "ssl-cert") == (Reason(False, expected) if expected else None)


def test_names_are_in_order_and_once() -> None:
    found = names_of("DB1", ["db1", "", None, "::1", "0:0:0:0:0:0:0:1", "Db1.Example.com", "192.0.2.1"])
    assert found == ("db1", "::1", "db1.example.com", "192.0.2.1")


def request(key: Any = None) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "postgres")])
    asked = x509.SubjectAlternativeName([x509.DNSName("evil.example.com")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(asked, critical=False)
    signed = builder.sign(key or factory.elliptic(), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def directory(tmp_path: Path) -> str:
    found = str(tmp_path / "ca" / "main")
    assert _certificates.ensure(found, "main", PASSPHRASE, 3650, NOW)
    return found


def extension(certificate: x509.Certificate, kind: Any) -> Any:
    return certificate.extensions.get_extension_for_class(kind)


def test_ca_is_made_once_and_safe(directory: str) -> None:
    authority = _certificates.load(directory, PASSPHRASE)
    certificate, key = authority.certificate, Path(directory, "ca.key")
    assert certificate.subject.rfc4514_string() == "CN=main PostgreSQL CA"
    assert extension(certificate, x509.BasicConstraints).critical
    assert extension(certificate, x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)
    assert extension(certificate, x509.KeyUsage).value.key_cert_sign
    assert _certificates.valid_until(certificate) == NOW + 3650 * DAY
    assert _certificates.valid_from(certificate) == NOW - datetime.timedelta(minutes=5)
    assert key.read_text(encoding="ascii").startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(directory, "ca.crt").stat().st_mode) == 0o644
    assert sorted(path.name for path in Path(directory).iterdir()) == ["ca.crt", "ca.key"]
    assert not _certificates.ensure(directory, "main", PASSPHRASE, 3650, NOW)
    assert _certificates.load(directory, PASSPHRASE).certificate == certificate
    assert _certificate_checks.check_ca(directory, PASSPHRASE, NOW.timestamp()) == []


def _ensure(directory: str) -> bool:
    return _certificates.ensure(directory, "main", PASSPHRASE, 3650, NOW)


def test_processes_at_once_make_one_ca(tmp_path: Path) -> None:
    directory = str(tmp_path / "ca")
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert sum(pool.map(_ensure, [directory] * 8, chunksize=1)) == 1
    assert _certificates.load(directory, PASSPHRASE).certificate is not None


@pytest.mark.parametrize("killed_after", [1, 2])
def test_interrupted_making_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_after: int) -> None:
    write, written = _certificates.write, []

    def killed(path: Path, content: bytes, mode: int) -> None:
        write(path, content, mode)
        written.append(path)
        if len(written) == killed_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(_certificates, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        _ensure(str(tmp_path))
    assert _certificate_checks.check_ca(str(tmp_path), PASSPHRASE, NOW.timestamp()) == []
    assert _ensure(str(tmp_path))
    assert _certificates.load(str(tmp_path), PASSPHRASE).certificate is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.crt", "ca.key"]


def test_a_lone_key_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_text("key", encoding="ascii")
    with pytest.raises(CertificateError) as refused:
        _ensure(str(tmp_path))
    assert str(refused.value) == f"{tmp_path}/ca.key exists and {tmp_path}/ca.crt does not"


def test_a_signature_takes_only_the_key_from_the_request(directory: str) -> None:
    authority = _certificates.load(directory, PASSPHRASE)
    signed = _certificates.sign(request(), authority, POLICY, NOW)
    names = extension(signed, x509.SubjectAlternativeName).value
    assert signed.subject.rfc4514_string() == "CN=db1"
    assert names.get_values_for_type(x509.DNSName) == ["db1", "db1.example.com"]
    assert [str(found) for found in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.11"]
    assert extension(signed, x509.BasicConstraints).value == x509.BasicConstraints(ca=False, path_length=None)
    assert list(extension(signed, x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    ]
    above = extension(signed, x509.AuthorityKeyIdentifier).value
    assert above.key_identifier.hex() == _certificates.key_id(authority.certificate)
    assert _certificates.valid_until(signed) == NOW + 397 * DAY
    assert _certificates.valid_from(signed) == NOW - datetime.timedelta(minutes=5)
    assert signed.serial_number.bit_length() > 100


@pytest.mark.parametrize("key", [factory.elliptic(ec.SECP384R1()), factory.rsa_key()])
def test_what_is_signed_passes_the_checks_of_provided_files(directory: str, tmp_path: Path, key: Any) -> None:
    authority = _certificates.load(directory, PASSPHRASE)
    signed = _certificates.sign(request(key), authority, POLICY, NOW)
    (tmp_path / "c").write_text(_certificates.pem_of(signed), encoding="ascii")
    (tmp_path / "k").write_bytes(factory.key_pem(key))
    given = {"certificate": str(tmp_path / "c"), "key": str(tmp_path / "k"), "ca": f"{directory}/ca.crt"}
    assert _certificate_checks.check_provided(given, name="db1", now=NOW.timestamp()) == []


def test_a_certificate_does_not_outlive_its_ca(tmp_path: Path) -> None:
    _certificates.ensure(str(tmp_path), "main", PASSPHRASE, 100, NOW)
    signed = _certificates.sign(request(), _certificates.load(str(tmp_path), PASSPHRASE), POLICY, NOW)
    assert _certificates.valid_until(signed) == NOW + 100 * DAY


def _tampered() -> str:
    lines = request().splitlines()
    lines[-2] = lines[-2][:-8] + ("AAAA" if lines[-2][-8:-4] != "AAAA" else "BBBB") + lines[-2][-4:]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request(factory.rsa_key(1024)), "the host's key is weaker than RSA of 2048 bits or an elliptic curve of 256"),
        (_tampered(), "the host's certificate request is not signed by its own key"),
        ("text", "the host's certificate request cannot be read: "),
    ],
)
def test_refused_requests(directory: str, asked: str, expected: str) -> None:
    with pytest.raises(CertificateError) as refused:
        _certificates.sign(asked, _certificates.load(directory, PASSPHRASE), POLICY, NOW)
    assert str(refused.value).startswith(expected)


def test_the_first_of_several_cas_signs(directory: str) -> None:
    path, other = Path(directory, "ca.crt"), make_ca("old CA")
    path.write_bytes(path.read_bytes() + other.pem)
    authority, anchor = _certificates.load(directory, PASSPHRASE), _certificates.anchor(directory)
    assert anchor is not None
    assert len(anchor.fingerprints) == 2
    assert anchor.key_id == _certificates.key_id(authority.certificate)
    # In one order, whoever signs.
    assert sorted(authority.bundle.split("-----")) == sorted(path.read_text(encoding="ascii").split("-----"))


def test_a_key_of_another_ca_does_not_sign(directory: str) -> None:
    Path(directory, "ca.crt").write_bytes(make_ca().pem)
    with pytest.raises(CertificateError) as refused:
        _certificates.load(directory, PASSPHRASE)
    assert str(refused.value) == f"ca.key in {directory} does not belong to the first certificate of ca.crt"


def test_anchor_without_identifier_is_computed() -> None:
    plain, named = make_ca(identifiers=False), make_ca()
    computed = x509.SubjectKeyIdentifier.from_public_key(plain.key.public_key()).digest.hex()
    assert _certificates.key_id(plain.certificate) == computed
    held = extension(named.certificate, x509.SubjectKeyIdentifier).value.digest.hex()
    assert _certificates.key_id(named.certificate) == held


def reason(seen: dict[str, Any] | None, directory: str, **more: Any) -> dict[str, Any]:
    return certificate_reason(
        seen, common_name="db1", names=["192.0.2.11"], lifetime_days=397, ca_directory=directory, **more
    )


def test_filter_of_an_issued_certificate(directory: str, tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.timezone.utc).timestamp()
    anchor = _certificates.anchor(directory)
    assert anchor is not None
    whole = {"not_before": now, "not_after": now + 397 * 86400}
    seen = facts(issuer_key_id=anchor.key_id, ca_fingerprints=list(anchor.fingerprints), **whole)
    assert reason(seen, directory) == {}
    assert reason(None, directory) == {"sign": True, "text": "it has no certificate"}
    assert reason(facts(**whole), str(tmp_path / "none")) == {}
    Path(directory, "ca.crt").write_text("text", encoding="ascii")
    with pytest.raises(AnsibleFilterError) as refused:
        reason(None, directory)
    assert str(refused.value) == f"{directory}/ca.crt holds no certificate in PEM form"


def test_filter_of_provided_files(tmp_path: Path) -> None:
    authority = make_ca()
    leaf = make("db1", authority)
    (tmp_path / "c").write_bytes(leaf.pem)
    (tmp_path / "a").write_bytes(authority.pem)
    given = {"certificate": str(tmp_path / "c"), "ca": str(tmp_path / "a"), "key": "/nowhere"}
    digests = [made.certificate.fingerprint(hashes.SHA256()).hex() for made in (leaf, authority)]
    seen = facts(fingerprint=digests[0], ca_fingerprints=digests[1:])
    assert reason(seen, "/nowhere", provided=given) == {}
    assert reason(facts(), "/nowhere", provided=given) == {
        "sign": False,
        "text": "the provided certificate is another; the provided CA file is another",
    }


def test_trust() -> None:
    members = [
        {"name": "db1", "duties": ["database"]},
        {"name": "db2", "duties": ["database"]},
        {"name": "db3", "duties": ["database"]},
        {"name": "ops1", "duties": ["repository"]},
        {"name": "ops2", "duties": ["repository"]},
    ]
    observed = "__postgresql_cluster_observation"
    hostvars = {
        "db1": {observed: {"instance": {"certificates": facts(ca_fingerprints=["b", "a"])}}},
        "db2": {observed: {"instance": {"certificates": None}}},
        "db3": {observed: {"unreachable": True}},
        "ops1": {observed: {"instance": {"certificates": facts(ca_fingerprints=["a", "c"])}}},
        "ops2": {},
        "elsewhere": {observed: {"instance": {"certificates": facts(ca_fingerprints=["z"])}}},
    }
    assert certificate_trust(hostvars, members) == {"trusted": ["a", "b", "c"], "unobserved": ["db3"]}
