# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encryption at rest: what is read of the devices below a place, what is said of it, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import whole
from ansible_collections.steadfast.postgresql.plugins.module_utils import _observe_volumes, _volumes
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import CommandError

STATUS = """\
/dev/mapper/data is active and is in use.
  type:    LUKS2
  cipher:  aes-xts-plain64
  keysize: 512 bits
"""
PLAIN = {"mount": "/", "file_system": "ext4", "device": "/dev/vda1", "encrypted": False, "ciphers": []}
OVERLAY = {"mount": "/", "file_system": "overlay", "device": "", "encrypted": False, "ciphers": []}
LUKS = whole.LUKS


class Machine:
    """The block devices of a machine, as /sys shows them."""

    def __init__(self, root: Path) -> None:
        self.devices, self.by_number = root / "devices", root / "block"
        self.by_number.mkdir()

    def disk(self, name: str, *below: str, number: str = "", crypt: str = "") -> None:
        """Make a disk, or a mapped device over others."""
        device = self.devices / name
        (device / "slaves").mkdir(parents=True)
        for other in below:
            (device / "slaves" / other.replace("/", "-")).symlink_to(self.devices / other)
        if crypt:
            (device / "dm").mkdir()
            (device / "dm/uuid").write_text(f"CRYPT-LUKS2-0123-{crypt}\n")
            (device / "dm/name").write_text(f"{crypt}\n")
        self._numbered(device, number)

    def partition(self, disk: str, name: str, number: str = "") -> None:
        """Make a partition of a disk."""
        device = self.devices / disk / name
        device.mkdir(parents=True)
        (device / "partition").write_text("1\n")
        self._numbered(device, number)

    def _numbered(self, device: Path, number: str) -> None:
        if number:
            (self.by_number / number).symlink_to(device)

    def mounts(self, *lines: str) -> None:
        """Write the table of mounts."""
        text = "".join(f"{number} 1 {line}\n" for number, line in enumerate(lines, 20))
        (self.devices.parent / "mountinfo").write_text(text)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(_observe_volumes, "BLOCK", tmp_path / "block")
    monkeypatch.setattr(_observe_volumes, "MOUNTS", tmp_path / "mountinfo")
    monkeypatch.setattr(_observe_volumes, "run", lambda command: STATUS)
    found = Machine(tmp_path)
    found.disk("vda")
    found.partition("vda", "vda1", "254:1")
    return found


def seen(place: str = "/data") -> dict[str, Any]:
    return _observe_volumes.volumes({"data": Path(place)})["data"]


ROOT = "254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw"


def test_a_partition(machine: Machine) -> None:
    machine.mounts(ROOT)
    assert seen() == PLAIN


def test_a_mapped_device(machine: Machine) -> None:
    machine.disk("dm-0", "vda/vda1", number="253:0", crypt="data")
    machine.mounts(ROOT, "253:0 / /data rw - ext4 /dev/mapper/data rw")
    assert seen("/data/16/main") == LUKS | {"mount": "/data"}
    assert seen("/database")["mount"] == "/"


def test_a_logical_volume_over_it(machine: Machine) -> None:
    machine.disk("dm-0", "vda/vda1", crypt="data")
    machine.disk("dm-1", "dm-0", number="253:1")
    machine.mounts(ROOT, "253:1 / /data rw - xfs /dev/mapper/vg-data rw")
    found = seen()
    assert (found["encrypted"], found["ciphers"], found["device"]) == (True, ["aes-xts-plain64"], "/dev/mapper/vg-data")


def test_a_partition_of_an_array_over_it(machine: Machine) -> None:
    machine.disk("dm-0", "vda/vda1", crypt="data")
    machine.disk("md0", "dm-0")
    machine.partition("md0", "md0p1", "259:1")
    machine.mounts(ROOT, "259:1 / /data rw - ext4 /dev/md0p1 rw")
    assert seen()["encrypted"] is True


def test_an_array_of_which_one_disk_is_plain(machine: Machine) -> None:
    machine.disk("vdb")
    machine.disk("dm-0", "vda/vda1", crypt="data")
    machine.disk("md0", "dm-0", "vdb", number="9:0")
    machine.mounts(ROOT, "9:0 / /data rw - ext4 /dev/md0 rw")
    assert seen()["encrypted"] is False


def test_the_last_mount_at_a_point_counts(machine: Machine) -> None:
    machine.disk("dm-0", "vda/vda1", number="253:0", crypt="data")
    over = "253:0 / /my\\040data rw - ext4 /dev/mapper/data rw"
    machine.mounts(ROOT, over, "254:1 /x /my\\040data rw - ext4 /dev/vda1 rw")
    assert seen("/my data") == PLAIN | {"mount": "/my data"}


def test_a_file_system_without_a_device(machine: Machine) -> None:
    machine.mounts("0:60 / / rw - overlay overlay rw,lowerdir=/x")
    assert seen() == OVERLAY


def test_a_cipher_that_cannot_be_asked_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(command: list[str]) -> str:
        raise CommandError("cryptsetup is not there")

    monkeypatch.setattr(_observe_volumes, "run", missing)
    machine.disk("dm-0", "vda/vda1", number="253:0", crypt="data")
    machine.mounts("253:0 / / rw - ext4 /dev/mapper/data rw")
    assert (seen()["encrypted"], seen()["ciphers"]) == (True, ["unknown cipher"])


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (
            {"db1": (LUKS, LUKS), "db2": (LUKS, LUKS), "db3": (PLAIN, PLAIN)},
            [
                "  db1 and db2: data and write-ahead log on an encrypted volume (aes-xts-plain64)",
                "  db3: data and write-ahead log not encrypted",
            ],
        ),
        (
            {"db1": (LUKS, PLAIN)},
            ["  db1: data on an encrypted volume (aes-xts-plain64), write-ahead log not encrypted"],
        ),
        ({"db1": (OVERLAY, OVERLAY)}, ["  db1: data and write-ahead log not known to be encrypted (overlay)"]),
    ],
)
def test_words(hosts: dict[str, Any], expected: list[str]) -> None:
    assert _volumes.lines({host: {"data": data, "wal": wal} for host, (data, wal) in hosts.items()}) == expected


HEAD = "db1: postgresql_host_encryption is required, but the"


@pytest.mark.parametrize(
    ("encryption", "data", "wal", "expected"),
    [
        ("required", LUKS, LUKS, []),
        ("observed", PLAIN, OVERLAY, []),
        (
            "required",
            PLAIN,
            LUKS,
            [
                f"{HEAD} data is on /dev/vda1, which is not encrypted; mount a LUKS volume at / or below it, "
                "or write observed"
            ],
        ),
        (
            "required",
            LUKS,
            OVERLAY,
            [
                f"{HEAD} write-ahead log is on a file system of type overlay, of which it cannot be told whether it is "
                "encrypted; mount a LUKS volume at / or below it, or write observed"
            ],
        ),
    ],
)
def test_refusals(encryption: str, data: Any, wal: Any, expected: list[str]) -> None:
    members = [whole.member("db1", host=whole.wanted_of_host(encryption=encryption))]
    assert list(_volumes.refusals(members, {"db1": {"volumes": {"data": data, "wal": wal}}})) == expected


@pytest.mark.parametrize("seen_of_it", [None, {}])
def test_a_host_that_was_not_observed_is_not_refused(seen_of_it: dict[str, Any] | None) -> None:
    members = [whole.member("db1", host=whole.wanted_of_host(encryption="required"))]
    assert list(_volumes.refusals(members, {"db1": seen_of_it})) == []
