"""The documentation names what exists: links, variables, playbooks, messages, requirements."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
RUNBOOKS = DOCS / "runbooks"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("**/*.md")), *sorted(ROOT.glob("roles/*/README.md"))]
PLAYBOOKS = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
REQUIREMENTS = [
    f"{letter}{number:02}"
    for letter, last in (("P", 26), ("A", 8), ("B", 6), ("C", 14), ("D", 7))
    for number in range(1, last + 1)
]

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
VARIABLE = re.compile(r"\bpostgresql_[a-z_]*[a-z]\b")
PATH = re.compile(r"(?:docs|inventories|molecule|playbooks|plugins|requirements|roles|tests)(?:/[\w.-]+)*")
NAMED_PLAYBOOK = re.compile(r"playbooks/(\w+)\.yml|steadfast\.postgresql\.(\w+)(?=`|$)", re.MULTILINE)
ADVISED_PLAYBOOK = re.compile(r"(?:playbook|run|then) ([a-z]+_[a-z_]+)\b")


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


def variables() -> set[str]:
    specs = [yaml.safe_load(path.read_text()) for path in ROOT.glob("roles/*/meta/argument_specs.yml")]
    return {name for spec in specs for name in spec["argument_specs"]["main"]["options"]}


def messages() -> str:
    """Return every text of the plugins and of what runs on the hosts, what is filled in left out."""
    places = [*ROOT.glob("plugins/**/*.py"), *ROOT.glob("roles/*/files/*.py")]
    return "\n".join(text for path in sorted(places) for text in texts(path))


def texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def rows(path: Path) -> list[list[str]]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = [link.partition("#")[0] for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_variables_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    # The example of a refusal in the role cluster misspells one on purpose.
    assert set(VARIABLE.findall(text)) - variables() - {"postgresql_regoin"} == set()


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_files_and_playbooks_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [code for code in CODE.findall(text) if PATH.fullmatch(code)]
    assert [code for code in named if not (ROOT / code).exists()] == []
    playbooks = {name for names in NAMED_PLAYBOOK.findall(text) for name in names if name}
    assert playbooks - PLAYBOOKS - {path.name for path in ROOT.glob("roles/*")} == set()


def test_playbooks_that_messages_name_exist() -> None:
    advised = set(ADVISED_PLAYBOOK.findall(messages()))
    assert advised & PLAYBOOKS
    assert {name for name in advised if "postgresql" not in name} - PLAYBOOKS == set()


@pytest.mark.parametrize("folder", [RUNBOOKS, DOCS / "decisions"], ids=identify)
def test_every_page_is_in_the_list_of_its_folder(folder: Path) -> None:
    linked = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in folder.glob("*.md")} - linked == {"README.md"}


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(path.name[:4]) for path in (DOCS / "decisions").glob("[0-9]*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=identify)
def test_lines_that_a_runbook_is_about_are_printed(page: Path) -> None:
    lines: list[str] = []
    heading = ""
    for cells in rows(page):
        quoted = re.findall(r'"([^"]+)"', cells[0])
        heading = heading if quoted or cells[0].startswith("-") else cells[0]
        lines += quoted if heading.startswith("The line") else []
    assert lines or page.name not in {"README.md", "foreign_cluster.md", "no_primary.md"}
    printed = messages()
    # Dots, hosts, repositories and numbers stand for what is filled in.
    parts = [part.strip() for line in lines for part in re.split(r"\.\.\.|\b(?:db\d|local|offsite)\b|\d+", line)]
    assert [part for part in parts if part not in printed] == []


def test_every_requirement_has_one_row_and_a_status() -> None:
    found = [cells for cells in rows(DOCS / "requirements.md") if re.fullmatch(r"[A-DP]\d\d", cells[0])]
    assert sorted(cells[0] for cells in found) == sorted(REQUIREMENTS)
    for cells in found:
        status, where, test = cells[2:]
        assert re.match(r"(works|partly|not yet)(:|$)", status), cells
        # What works has a place and a test that shows it.
        assert not status.startswith(("works", "partly")) or (where and test), cells


def test_the_changelog_has_the_version() -> None:
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    assert version in yaml.safe_load((ROOT / "changelogs" / "changelog.yaml").read_text())["releases"]
    assert f"## v{version}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("\\", "")
