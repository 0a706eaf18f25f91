# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of a CA while another one takes its place: what it says, and that no kill leaves it unusable."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _authority, _certificate_checks, _certificates
from ansible_collections.steadfast.postgresql.plugins.module_utils._authority import SETTLED, SIGNING, TRUSTING
from ansible_collections.steadfast.postgresql.plugins.module_utils._certificates import CertificateError
from certificate_factory import DAY, NOW, PASSPHRASE, make_ca

FIRST, SECOND, THIRD = "main PostgreSQL CA", "main PostgreSQL CA 2", "main PostgreSQL CA 3"
LATER = NOW + DAY
STEPS = 21  # of a replacement, each of which a kill can prevent


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def directory(tmp_path: Path) -> str:
    _certificates.ensure(str(tmp_path), "main", PASSPHRASE, 3650, NOW)
    return str(tmp_path)


def prepare(directory: str) -> None:
    _authority.prepare(directory, "main", PASSPHRASE, 3650, LATER)


def replace(directory: str) -> None:
    prepare(directory)
    _authority.promote(directory, PASSPHRASE)


def said(directory: str) -> tuple[str, list[str]]:
    state = _authority.read(directory)
    assert state is not None
    return state.stage, [known.name for known in state.trusted]


def test_a_replacement(directory: str) -> None:
    assert said(directory) == (SETTLED, [FIRST])
    prepare(directory)
    assert said(directory) == (TRUSTING, [FIRST, SECOND])
    assert _authority.read(directory).next_name("main") == SECOND  # type: ignore[union-attr]
    _authority.promote(directory, PASSPHRASE)
    assert said(directory) == (SIGNING, [SECOND, FIRST])
    _authority.retire(directory)
    assert said(directory) == (SETTLED, [SECOND])
    assert not Path(directory, "next").exists()


def test_each_step_once_more_changes_nothing(directory: str) -> None:
    prepare(directory)
    before = files(directory)
    prepare(directory)
    assert files(directory) == before
    _authority.promote(directory, PASSPHRASE)
    before = files(directory)
    _authority.promote(directory, PASSPHRASE)
    assert files(directory) == before
    _authority.retire(directory)
    before = files(directory)
    _authority.retire(directory)
    assert files(directory) == before


def test_one_replacement_after_the_other_keeps_every_key(directory: str) -> None:
    for name in (SECOND, THIRD):
        replace(directory)
        _authority.retire(directory)
        assert said(directory) == (SETTLED, [name])
    former = sorted(Path(directory, "former").iterdir())
    assert len(former) == 2
    for place in former:
        assert _certificates.load(str(place), PASSPHRASE).certificate.subject


def test_a_second_replacement_before_the_first_is_retired(directory: str) -> None:
    replace(directory)
    replace(directory)
    assert said(directory) == (SIGNING, [THIRD, SECOND, FIRST])
    _authority.retire(directory)
    assert said(directory) == (SETTLED, [THIRD])


def test_what_the_user_added_stays_trusted(directory: str) -> None:
    path = Path(directory, "ca.crt")
    path.write_bytes(path.read_bytes() + make_ca("a friend").pem)
    assert said(directory) == (SETTLED, [FIRST, "a friend"])
    replace(directory)
    _authority.retire(directory)
    assert said(directory) == (SETTLED, [SECOND, "a friend"])


def test_a_long_name_stays_a_common_name(directory: str) -> None:
    cluster = "c" * 80
    state = _authority.read(directory)
    assert state is not None
    name = state.next_name(cluster)
    assert (len(name), name[-2:]) == (64, " 2")


def test_hosts_get_the_same_whoever_signs(directory: str) -> None:
    prepare(directory)
    before = _certificates.bundle(directory)
    _authority.promote(directory, PASSPHRASE)
    assert _certificates.bundle(directory) == before == _certificates.load(directory, PASSPHRASE).bundle


def test_no_ca(tmp_path: Path) -> None:
    assert _authority.read(str(tmp_path)) is None
    with pytest.raises(CertificateError, match="there is no CA in"):
        prepare(str(tmp_path))


def test_another_passphrase_is_noticed_before_the_next_one_signs(directory: str) -> None:
    prepare(directory)
    with pytest.raises(CertificateError):
        _authority.promote(directory, "another passphrase")
    assert said(directory) == (TRUSTING, [FIRST, SECOND])


@pytest.mark.parametrize("kill", range(STEPS + 1))
def test_a_kill_at_any_step_is_finished_by_the_next_run(
    directory: str, monkeypatch: pytest.MonkeyPatch, kill: int
) -> None:
    steps = itertools.count()
    first = _certificates.bundle(directory)
    assert first

    def mortal(done: Any) -> Any:
        def act(*given: Any, **options: Any) -> Any:
            if next(steps) == kill:
                raise KilledError
            return done(*given, **options)

        return act

    with monkeypatch.context() as patch:
        for owner, name in ((_certificates, "write"), (Path, "rename"), (Path, "unlink"), (Path, "rmdir")):
            patch.setattr(owner, name, mortal(getattr(owner, name)))
        killed = is_killed(directory)
    assert killed is (kill < STEPS)
    # Whatever a run meets now, it can sign with it, and it trusts the first CA.
    assert _certificate_checks.check_ca(directory, PASSPHRASE, LATER.timestamp()) == []
    assert first in _certificates.load(directory, PASSPHRASE).bundle
    assert _certificate_checks.missing_signer(directory, [], []) is None
    if said(directory)[0] != SIGNING:
        prepare(directory)
    _authority.promote(directory, PASSPHRASE)
    assert said(directory) == (SIGNING, [SECOND, FIRST])
    assert _certificates.load(directory, PASSPHRASE).certificate.subject.rfc4514_string() == f"CN={SECOND}"
    (former,) = Path(directory, "former").iterdir()
    assert _certificates.load(str(former), PASSPHRASE).certificate.subject.rfc4514_string() == f"CN={FIRST}"
    assert not Path(directory, "next").exists()


def is_killed(directory: str) -> bool:
    try:
        replace(directory)
    except KilledError:
        return True
    return False


def files(directory: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()}
