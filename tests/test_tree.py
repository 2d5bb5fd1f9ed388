"""The tree keeps its shape: sizes, docstrings, names, and who may import what, so that no reader has to check."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDERS: Final = ("s4gw", "tests", "conf", "scripts")
MODULE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70
BANNED_NAMES: Final = frozenset({"util", "utils", "helper", "helpers", "common", "misc"})

PURE: Final = ("checksum", "codec", "s3", "auth", "policy", "bucketconfig")
# sockets, files, clocks, threads, logs, environment, processes, randomness
IMPURE_MODULES: Final = frozenset(
    {
        "apsw", "asyncio", "concurrent", "fcntl", "glob", "logging", "mmap", "multiprocessing", "os", "pathlib",
        "random", "requests", "secrets", "select", "selectors", "shutil", "signal", "socket", "socketserver", "sqlite3",
        "ssl", "structlog", "subprocess", "tempfile", "threading", "time", "urllib3", "uuid",
    }
)  # fmt: skip
IMPURE_CALLS: Final = frozenset({"open", "input", "breakpoint", "now", "utcnow", "today", "getenv"})
# a compressor must not be shared by two threads, so a codec keeps one for each: state, not a thread
PURE_NAMES: Final = {"threading": {"local"}}

# module -> the places under s4gw that may import it
RESERVED: Final = {
    "falcon": ("gateway/", "console/", "wsgi.py"),
    "gunicorn": ("gateway/", "wsgi.py"),
    "boto3": ("backends/remote",),
    "botocore": ("s3/", "backends/remote"),
    # the catalogue is a cache in a file that workers share, not a store: no record of it is missed
    "apsw": ("store/", "backends/remote/catalogue.py"),
    "zstandard": ("codec/",),
    "pcodec": ("codec/",),
    "cupy": ("gpu/",),
    "pynvml": ("gpu/",),
    "nvidia": ("gpu/",),
    "prometheus_client": ("observability/", "gateway/"),
    "structlog": ("observability/",),
}


@cache
def modules(folder: str) -> tuple[Path, ...]:
    """Every Python file under *folder*."""
    return tuple(sorted((ROOT / folder).rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def everything() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from modules(folder)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def package(path: Path) -> str:
    """First name below ``s4gw``."""
    return path.relative_to(ROOT / "s4gw").parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Pairs of (first name of the module, imported name or "") of absolute imports."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((str(node.module).partition(".")[0], alias.name) for alias in node.names)


def used(path: Path, module: str) -> set[str]:
    """The names of *module* that a file uses, imported from it or as its attributes."""
    attributes = {
        node.attr
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module
    }
    return attributes | {what for origin, what in imports(path) if origin == module and what}


def calls(path: Path) -> Iterator[tuple[str, int]]:
    """Pairs of (last name of what is called, line)."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=called) | ast.Attribute(attr=called):
                    yield called, node.lineno


def test_there_is_a_tree() -> None:
    """The checks below look at files that exist."""
    empty = [folder for folder in ("s4gw", "tests", "scripts") if not modules(folder)]
    assert [] == empty


def test_modules_are_short() -> None:
    """A module has at most 400 lines."""
    counts = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in everything()}
    assert {} == {module: count for module, count in counts.items() if count > MODULE_LINES_MAX}


def test_functions_are_short() -> None:
    """A function has at most 70 lines, its docstring not counted."""
    offenders = {}
    for path in everything():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                doc = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
                words = 0 if doc is None else (doc.end_lineno or doc.lineno) - doc.lineno + 1
                lines = (node.end_lineno or node.lineno) - node.lineno + 1 - words
                if lines > FUNCTION_LINES_MAX:
                    offenders[f"{name(path)}:{node.name}"] = lines
    assert {} == offenders


def test_modules_say_what_they_hold() -> None:
    """Every module opens with a docstring."""
    silent = [name(path) for path in everything() if not ast.get_docstring(tree(path))]
    assert [] == silent


def test_no_module_for_leftovers() -> None:
    """What fits nowhere needs a package with a purpose."""
    found = [name(path) for path in everything() if BANNED_NAMES & set(path.relative_to(ROOT).with_suffix("").parts)]
    assert [] == found


def test_heavy_libraries_stay_at_home() -> None:
    """Falcon, gunicorn, boto3, botocore, SQLite, zstd, CUDA and the log are imported where they belong only."""
    offenders = [
        f"{name(path)} imports {module}"
        for path in modules("s4gw")
        for module, _ in imports(path)
        if module in RESERVED and not path.relative_to(ROOT / "s4gw").as_posix().startswith(RESERVED[module])
    ]
    assert [] == offenders


def test_pure_packages_import_nothing_impure() -> None:
    """checksum, codec, s3, auth, policy and bucketconfig know no socket, file, clock, thread, log or environment."""
    offenders = [
        f"{name(path)} imports {module}"
        for path in modules("s4gw")
        if package(path) in PURE
        for module, _ in imports(path)
        if module in IMPURE_MODULES and (module not in PURE_NAMES or not used(path, module) <= PURE_NAMES[module])
    ]
    assert [] == offenders


def test_pure_packages_call_nothing_impure() -> None:
    """The same packages open no file and ask no clock."""
    offenders = [
        f"{name(path)}:{line} calls {called}"
        for path in modules("s4gw")
        if package(path) in PURE
        for called, line in calls(path)
        if called in IMPURE_CALLS
    ]
    assert [] == offenders


def test_only_commands_print() -> None:
    """Nothing but a command writes to the terminal."""
    offenders = [
        f"{name(path)}:{line}"
        for path in modules("s4gw")
        if package(path) != "tools"
        for called, line in calls(path)
        if called == "print"
    ]
    assert [] == offenders


def test_no_star_imports() -> None:
    """Every name says where it comes from."""
    offenders = [
        name(path)
        for path in everything()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    ]
    assert [] == offenders


def test_changelog_knows_this_version() -> None:
    """The version in setup.cfg stands first in CHANGELOG.md, with the five sections for operators."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = text.split("\n## ")[1]
    sections = re.findall(r"^### (\w+)$", newest, re.MULTILINE)
    expected = (setup["metadata"]["version"], ["Security", "Removed", "Changed", "Added", "Fixed"])
    assert expected == (newest.split()[0], sections)


def test_pins_are_exact() -> None:
    """The constraints files name one version of each package and nothing of a machine."""
    loose = [
        line
        for file in ("constraints.txt", "constraints-s3fs.txt")
        for line in (ROOT / "conf" / file).read_text(encoding="utf-8").splitlines()
        if not re.fullmatch(r"#.*|[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line)
    ]
    assert [] == loose
