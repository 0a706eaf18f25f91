# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load the rules of a host's firewall so that they are taken back by themselves unless a new connection confirms them.

What is loaded at boot, and by the timer that takes back, is always the file; it holds only rules that were confirmed.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

from ansible_collections.steadfast.postgresql.plugins.module_utils import (
    _firewall,
    _host_files,
    _observe_guard,
)
from ansible_collections.steadfast.postgresql.plugins.module_utils._observe_guard import NFT
from ansible_collections.steadfast.postgresql.plugins.module_utils._postgres import (
    CommandError,
    change,
    run,
    write_atomically,
)

RUNTIME = Path("/run/steadfast")
_TAKEN_BACK = "the new rules were taken back before a new connection could confirm them; run again"
SHORT = 8  # characters of a fingerprint that a list of changes shows


def planned(cluster: str, rules: str) -> list[dict[str, str]]:
    """Return what applying rules changes; what is only to be loaded at boot again is a change too."""
    seen = _observe_guard.firewall(cluster)
    known = seen["live"] and seen["live"] == (seen["record"] or {}).get("live")
    before = f"rules {seen['file'][:SHORT]}" if known else "unconfirmed rules" if seen["live"] else "absent"
    after = f"rules {_firewall.fingerprint(rules)[:SHORT]}" if rules else "absent"
    name = f"{_firewall.FAMILY} {_firewall.table(cluster)}"
    return [change("firewall", name, before if before != after else "not loaded at boot", after)]


def shown(cluster: str) -> str:
    """Return the text of the file, for a difference."""
    path = Path(_host_files.rules(cluster))
    return path.read_text(encoding="utf-8") if path.exists() else ""


def apply(cluster: str, rules: str, seconds: int) -> str:
    """Load rules, to be taken back after so many seconds, and return the fingerprint of what is live then.

    Raises:
        CommandError: nft does not take them; then nothing has changed.
    """
    RUNTIME.mkdir(mode=0o755, exist_ok=True)
    candidate = RUNTIME / f"firewall_{cluster}.nft"
    write_atomically(candidate, rules, 0o600)
    run([NFT, "--check", "--file", candidate])
    former = _timers(cluster)
    _take_back_after(cluster, seconds)
    # There is always a timer while rules are live that nobody has confirmed.
    _stop(former)
    run([NFT, "--file", candidate])
    return _observe_guard.live(cluster)


def confirm(cluster: str, rules: str, live: str) -> None:
    """Keep the rules that apply loaded: now, and when the host starts.

    Raises:
        CommandError: they were taken back meanwhile.
    """
    if _observe_guard.live(cluster) != live:
        raise CommandError(_TAKEN_BACK)
    path = Path(_host_files.rules(cluster))
    path.parent.mkdir(mode=0o755, exist_ok=True)
    write_atomically(path, rules, 0o600)
    _stop(_timers(cluster))
    # A timer that went off before loads the file, which holds them already; one that was just doing so may have not.
    if _observe_guard.live(cluster) != live:
        raise CommandError(_TAKEN_BACK)
    record = _observe_guard.record_file(cluster)
    record.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_atomically(record, json.dumps({"rules": _firewall.fingerprint(rules), "live": live}) + "\n")
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "enable", "--quiet", "--now", _host_files.unit_name(cluster)])


def remove(cluster: str) -> None:
    """Let everybody in again, now and when the host starts."""
    Path(_host_files.enabled(cluster)).unlink(missing_ok=True)
    with contextlib.suppress(CommandError):  # a unit whose file is gone may be unknown
        run(["systemctl", "stop", "--quiet", _host_files.unit_name(cluster)])
    Path(_host_files.rules(cluster)).unlink(missing_ok=True)
    _observe_guard.record_file(cluster).unlink(missing_ok=True)
    _stop(_timers(cluster))
    run(["systemctl", "daemon-reload"])
    if _observe_guard.live(cluster):
        run([NFT, "delete", "table", _firewall.FAMILY, _firewall.table(cluster)])


def _take_back_after(cluster: str, seconds: int) -> None:
    """Let systemd load the file after some seconds, or remove the table where there is no file yet."""
    rules = _host_files.rules(cluster)
    delete = f"{NFT} delete table {_firewall.FAMILY} {_firewall.table(cluster)}"
    script = f"if [ -s {rules} ]; then exec {NFT} -f {rules}; else exec {delete}; fi"
    timer = ["--collect", f"--on-active={seconds}", "--timer-property=AccuracySec=100ms"]
    # Beside one of an earlier run, which is stopped once this one runs.
    name = f"{_prefix(cluster)}{time.time_ns()}"
    run(["systemd-run", "--quiet", f"--unit={name}", *timer, "/bin/sh", "-c", script])


def _prefix(cluster: str) -> str:
    return f"steadfast-firewall-back-{cluster}-"


def _timers(cluster: str) -> list[str]:
    pattern = f"{_prefix(cluster)}[0-9]*.timer"
    listed = run(["systemctl", "list-units", "--all", "--plain", "--no-legend", pattern])
    return [line.split()[0] for line in listed.splitlines()]


def _stop(units: list[str]) -> None:
    if units:
        run(["systemctl", "stop", *units])
