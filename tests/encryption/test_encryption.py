"""What the role host says of encryption at rest, of real volumes in a virtual machine: one with LUKS, one without."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.steadfast.postgresql.plugins.module_utils import _volumes

HERE = Path(__file__).resolve().parent
PLUGINS = HERE.parents[1] / "plugins"
MODULE = Path("ansible_collections/steadfast/postgresql/plugins/module_utils")
DISK = 64 << 20  # bytes
LIMIT = 600  # seconds; an emulated machine is slow


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Start the machine and return what it saw."""
    made = Path(subprocess.run([HERE / "build"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
    place = tmp_path_factory.mktemp("machine")
    disks = [place / name for name in ("encrypted", "plain", "modules")]
    for disk in disks[:2]:
        with disk.open("wb") as file:
            file.truncate(DISK)
    with tarfile.open(disks[2], "w") as archive:
        for path in sorted((PLUGINS / "module_utils").glob("*.py")):
            archive.add(path, str(MODULE / path.name))
    # Emulated: what virtualizes in hardware is not everywhere, and breaks on some machines that say they have it.
    command = ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-m", "1536"]
    command += ["-cpu", "max", "-display", "none", "-serial", "stdio", "-monitor", "none", "-nic", "none", "-no-reboot"]
    command += ["-kernel", str(made / "kernel"), "-initrd", str(made / "initrd"), "-append", "console=ttyS0 quiet"]
    for disk in disks:
        command += ["-drive", f"file={disk},format=raw,if=virtio"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT)
    lines = [line for line in done.stdout.splitlines() if line.startswith("seen:")]
    assert lines, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(lines[0].removeprefix("seen:"))
    return found


def test_what_is_seen(seen: dict[str, Any]) -> None:
    data, wal = seen["data"], seen["wal"]
    assert (data["encrypted"], data["ciphers"], data["device"]) == (True, ["aes-xts-plain64"], "/dev/mapper/data")
    assert (wal["encrypted"], wal["ciphers"], wal["device"]) == (False, [], "/dev/vdb")


@pytest.mark.parametrize("required", [True, False])
def test_what_is_said_and_refused(seen: dict[str, Any], required: bool) -> None:
    host = {"encryption": "required" if required else "observed"}
    member = {"name": "db1", "duties": ["database"], "host": host}
    assert _volumes.lines({"db1": seen}) == [
        "  db1: data on an encrypted volume (aes-xts-plain64), write-ahead log not encrypted"
    ]
    refused = (
        "db1: postgresql_host_encryption is required, but the write-ahead log is on /dev/vdb, which is not encrypted; "
        "mount a LUKS volume at /wal or below it, or write observed"
    )
    assert list(_volumes.refusals([member], {"db1": {"volumes": seen}})) == ([refused] if required else [])
