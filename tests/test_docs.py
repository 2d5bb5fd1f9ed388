"""The documentation says what the program does: its tables and links are checked here, its commands in tests/live."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.metrics import MetricWrapperBase

from s4gw import settings
from s4gw.observability import store_metrics
from s4gw.observability.metrics import Metrics
from s4gw.settings import LATER, Settings
from s4gw.tools.cli import COMMANDS

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
OUTSIDE: Final = re.compile(r"[a-z]+:")
SUFFIX: Final = {"counter": "_total"}  # added by the exposition format


def rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the first table below *heading*, without its head."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    table = text.partition("\n| ")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


def flags() -> Iterator[tuple[str, str, object]]:
    """Flag, kind of value and default of each setting of ``s4gw serve``."""
    parser, default = argparse.ArgumentParser(add_help=False), Settings()
    settings.add_arguments(parser)
    names = {"domain": "domains"}
    for action in parser._actions:
        if action.option_strings[0] not in LATER:
            yield action.option_strings[0], str(action.metavar), getattr(default, names.get(action.dest, action.dest))


def shown(value: object) -> str | None:
    """A default as the table has it; None where it needs words."""
    if value is None or value == ():
        return None
    return f"`{value}`" if not isinstance(value, bool) else "`yes`" if value else "`no`"


def test_settings_table() -> None:
    """Every flag is in the table, with its value and default, in the order of --help, and no other is."""
    table = [
        (flag.strip("`"), kind.replace("\\|", "|"), default)
        for flag, kind, default, _ in rows("operations.md", "Settings")
    ]
    expected = [
        (flag, kind, shown(value) or default)
        for (flag, kind, value), (_, _, default) in zip(flags(), table, strict=True)
    ]
    assert expected == table


def test_metrics_table() -> None:
    """Every metric is in the table, with its type and labels, and no other is."""
    made = Metrics()
    everything = [*vars(made).values(), *vars(made.gpu).values()]
    metrics = [value for value in everything if isinstance(value, MetricWrapperBase)]
    expected = {
        (f"`{metric._name}{SUFFIX.get(str(metric._type), '')}`", metric._type, ", ".join(metric._labelnames))
        for metric in metrics
    }
    expected |= {(f"`{name}`", "gauge", "") for name, *_ in store_metrics.GAUGES}
    expected |= {(f"`{name}_total`", "counter", "") for name, *_ in store_metrics.COUNTERS}
    table = {(name, kind, labels) for name, kind, labels, _ in rows("operations.md", "Metrics")}
    assert expected == table


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Links between pages and to files of the tree are right."""
    links = [link.partition("#")[0] for link in LINK.findall(page.read_text(encoding="utf-8"))]
    broken = [link for link in links if link and not OUTSIDE.match(link) and not (page.parent / link).exists()]
    assert [] == broken


def test_index_names_every_page() -> None:
    """Whoever opens docs/index.md finds every other page."""
    named = set(LINK.findall((ROOT / "docs" / "index.md").read_text(encoding="utf-8")))
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert set() == pages - named


def test_development_names_what_there_is() -> None:
    """Files and tests that the page for developers names exist, and every package is on its map."""
    text = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:s4gw|tests|docs|conf)/[\w./]*)`", text)
    missing = [name for name in named if not (ROOT / name).exists()]
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    unknown = [name for name in re.findall(r"`(test_\w+)`", text) if f"def {name}(" not in code]
    below = {path.relative_to(ROOT / "s4gw").parts[0] for path in (ROOT / "s4gw").rglob("*.py")}
    parts = {f"s4gw/{name}" for name in below - {"__init__.py"}}
    assert ([], [], set()) == (missing, unknown, parts - set(named))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    """Targets of make, subcommands of s4gw and files of the tree that a page tells people to type are there."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    typed = r"(?:^ {4}|`)(?:python )?"
    text = page.read_text(encoding="utf-8")
    targets = re.findall(typed + r"make ([a-z][a-z-]*)", text, re.MULTILINE)
    commands = re.findall(typed + r"s4gw ([a-z][a-z-]*)", text, re.MULTILINE)
    files = re.findall(r"\b(?:scripts|tests|conf|systemd)/[\w/.-]+\.\w+", text)
    assert ([], [], []) == (
        [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)],
        [command for command in commands if command not in COMMANDS],
        [file for file in files if not (ROOT / file).exists()],
    )


def test_the_front_page_names_the_gate() -> None:
    """And continuous integration runs it."""
    named = set(re.findall(r"\bmake ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    runs_check = "make check" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert (True, set()) == (runs_check, {"run", "test", "check", "bench"} - named)


@pytest.mark.parametrize("page", ["docs/operations.md", "ami/README.md"])
def test_units_name_pages_that_installing_puts_there(page: str) -> None:
    """What `systemctl help s4gw` opens is a page of this tree, at the place to which the commands of *page* copy it."""
    copied, place = re.findall(r"&& cp -r (.+) (/\S+)/\n", (ROOT / page).read_text(encoding="utf-8"))[0]
    units = [unit.read_text(encoding="utf-8") for unit in sorted((ROOT / "systemd").iterdir())]
    named = [
        uri for unit in units for line in re.findall("^Documentation=(.*)", unit, re.MULTILINE) for uri in line.split()
    ]
    paths = [uri.removeprefix(f"file://{place}/") for uri in named]
    assert paths
    assert [] == [path for path in paths if not (ROOT / path).is_file() or path.partition("/")[0] not in copied.split()]
