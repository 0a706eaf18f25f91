# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every role keeps to: names, defaults, specs, documentation, and the shape of its files."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLES = ROOT / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())
MODULE_UTILS = sorted(ROOT.glob("plugins/module_utils/*.py"))
TASK_FILES = sorted([*ROLES.glob("*/tasks/**/*.yml"), *ROOT.glob("playbooks/**/*.yml")])
TEMPLATES = sorted(path for path in ROLES.glob("*/templates/**/*") if path.is_file())
LONGEST_TASK_FILE = 150
LONGEST_MODULE_UTIL = 400

# Inputs of a whole cluster have no role in their name. They belong to the role cluster.
CLUSTER_WIDE = {
    "postgresql_version",
    "postgresql_cluster_name",
    "postgresql_initial_primary",
    "postgresql_region",
    "postgresql_zone",
    "postgresql_address",
    "postgresql_applications",
    "postgresql_port",
    "postgresql_application_networks",
    "postgresql_management_networks",
    "postgresql_administrators",
    "postgresql_adopt",
    "postgresql_journal_directory",
    "postgresql_allow_untested_platform",
}
SECRET = re.compile(r"(password|passphrase|secret)$")
TYPES = {"str", "int", "float", "bool", "list", "dict"}


class Loader(yaml.SafeLoader):
    """A loader that knows Ansible's tags."""


def scalar(loader: Loader, node: yaml.Node) -> Any:
    assert isinstance(node, yaml.ScalarNode)
    return loader.construct_scalar(node)


Loader.add_constructor("!vault", scalar)
Loader.add_constructor("!unsafe", scalar)


def load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader)


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


def defaults(role: str) -> dict[str, Any]:
    path = ROLES / role / "defaults" / "main.yml"
    return (load(path) or {}) if path.exists() else {}


def options(role: str) -> dict[str, Any]:
    """Return the options of all entry points of a role."""
    entries = load(ROLES / role / "meta" / "argument_specs.yml")["argument_specs"]
    return {name: option for entry in entries.values() for name, option in (entry.get("options") or {}).items()}


def nested(prefix: str, specs: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, spec in specs.items():
        yield f"{prefix}{name}", spec
        yield from nested(f"{prefix}{name}.", spec.get("options") or {})


def tasks(found: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the plays, blocks and tasks of a file."""
    for item in found or []:
        yield item
        for part in ("tasks", "pre_tasks", "post_tasks", "block", "rescue", "always"):
            yield from tasks(item.get(part))


def role_tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("role_tables", ROOT / "tests" / "role_tables.py")
    assert spec is not None
    assert spec.loader is not None
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("role", NAMES)
def test_a_role_is_whole(role: str) -> None:
    files = ("README.md", "meta/main.yml", "meta/argument_specs.yml", "defaults/main.yml")
    assert [name for name in files if not ROLES.joinpath(role, name).exists()] == []
    assert list(ROLES.joinpath(role, "tasks").glob("*.yml"))


@pytest.mark.parametrize("role", NAMES)
def test_defaults_bear_the_name_of_their_role(role: str) -> None:
    foreign = {name for name in defaults(role) if not name.startswith(f"postgresql_{role}_")}
    assert foreign == (CLUSTER_WIDE - {"postgresql_cluster_name"} if role == "cluster" else set())


@pytest.mark.parametrize("role", NAMES)
def test_defaults_are_those_of_the_specs(role: str) -> None:
    specs = options(role)
    assert {name for name, spec in specs.items() if "default" not in spec} == set()
    found = {name: (type(value), value) for name, value in defaults(role).items()}
    assert found == {name: (type(spec["default"]), spec["default"]) for name, spec in specs.items()}


@pytest.mark.parametrize("role", NAMES)
def test_specs_say_what_they_are(role: str) -> None:
    for name, spec in nested("", options(role)):
        assert spec.get("type") in TYPES, name
        assert spec.get("description"), name
        assert spec["type"] != "list" or "elements" in spec, name
        assert spec.get("elements") != "dict" or spec.get("options"), name
        assert not (spec.get("required") and "default" in spec), name
        assert spec.get("choices") is None or "default" not in spec or spec["default"] in spec["choices"], name


@pytest.mark.parametrize("role", NAMES)
def test_secrets_are_texts_that_are_not_logged(role: str) -> None:
    secrets = {name: spec for name, spec in nested("", options(role)) if SECRET.search(name) or spec.get("no_log")}
    assert {name for name, spec in secrets.items() if spec.get("no_log") is not True or spec["type"] != "str"} == set()


def test_no_variable_belongs_to_two_roles() -> None:
    names = [name for role in NAMES for name in options(role)]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("role", [name for name in NAMES if name != "cluster"])
def test_the_cluster_comes_before_every_role(role: str) -> None:
    assert load(ROLES / role / "meta" / "main.yml")["dependencies"] == [{"role": "steadfast.postgresql.cluster"}]


def test_tables_of_the_readmes_are_fresh() -> None:
    assert role_tables().stale() == []


def test_a_stale_table_is_found_and_written(tmp_path: Path) -> None:
    for role, end in (("server", "<!-- arguments: end -->\nrest\n"), ("replication", "")):
        shutil.copytree(ROLES / role / "meta", tmp_path / "roles" / role / "meta")
        tmp_path.joinpath("roles", role, "README.md").write_text(f"# R\n<!-- arguments: begin -->\nold\n{end}")
    shutil.copytree(ROLES / "cluster" / "meta", tmp_path / "roles" / "cluster" / "meta")
    expected = [
        "roles/cluster/README.md is missing",
        "roles/replication/README.md has no lines <!-- arguments: begin --> and <!-- arguments: end -->",
    ]
    script = role_tables()
    stale = "roles/server/README.md is not up to date; run tests/role_tables.py"
    assert script.stale(tmp_path / "roles") == [*expected, stale]
    assert script.stale(tmp_path / "roles", write=True) == expected
    assert script.stale(tmp_path / "roles") == expected
    text = tmp_path.joinpath("roles", "server", "README.md").read_text()
    assert text.startswith("# R\n<!-- arguments: begin -->\n| Variable | Type | Default | Meaning |\n")
    assert text.endswith("|\n<!-- arguments: end -->\nrest\n")
    assert "| `postgresql_server_hba_rules[].comment` | str | required | Why the rule is there;" in text


def test_the_documentation_of_every_role_can_be_shown(tmp_path: Path) -> None:
    environment = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections")}
    command = [str(Path(sys.executable).with_name("ansible-doc")), "-t", "role", "--json"]
    names = [f"steadfast.postgresql.{role}" for role in NAMES]
    done = subprocess.run([*command, *names], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    shown = yaml.safe_load(done.stdout)
    assert sorted(shown) == names
    for role in NAMES:
        entries = shown[f"steadfast.postgresql.{role}"]["entry_points"]
        assert {name for entry in entries.values() for name in entry["options"]} == set(options(role))


@pytest.mark.parametrize("path", TASK_FILES, ids=identify)
def test_task_files(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_TASK_FILE
    for task in tasks(load(path)):
        assert {"ignore_errors", "become_user", "notify", "listen"} & task.keys() == set(), task
        assert task.get("failed_when") is not False, task
        assert "name" in task or "import_playbook" in str(task), task
        assert task.get("register", "__postgresql_").startswith("__postgresql_"), task


@pytest.mark.parametrize("role", NAMES)
def test_there_are_no_handlers(role: str) -> None:
    assert not ROLES.joinpath(role, "handlers").exists()


@pytest.mark.parametrize("path", TEMPLATES, ids=identify)
def test_templates_begin_with_the_managed_header(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "{{ ansible_managed | comment }}"
    role = path.relative_to(ROLES).parts[0]
    assert re.match(rf"# By the role {role} of steadfast\.postgresql[.,:]", lines[1]), lines[1]


@pytest.mark.parametrize("path", MODULE_UTILS, ids=identify)
def test_module_utils_are_short_and_private(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE_UTIL
    assert path.name.startswith("_")


@pytest.mark.parametrize("path", sorted(ROOT.glob("plugins/*/*.py")), ids=identify)
def test_plugins_name_their_license(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)\n" in text
    assert "# SPDX-License-Identifier: GPL-3.0-or-later\n" in text
