"""What docs/clients.md tells people to type works: each section's blocks run, in order, in an empty folder."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.live.test_clients import S3FS_PYTHON

pytestmark = pytest.mark.clients
PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "clients.md"
BLOCK: Final = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_PYTHON_PACKAGES: Final = ("restic", "curl")


def sections() -> Mapping[str, list[tuple[str, str]]]:
    """Heading -> the (language, text) of each block below it, for headings that have any."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = {title: BLOCK.findall(text) for title, text in zip(parts[1::2], parts[2::2], strict=True)}
    return {title: blocks for title, blocks in found.items() if blocks}


def needed(blocks: list[tuple[str, str]]) -> list[str]:
    """What the blocks need and this machine lacks."""
    text = "\n".join(text for _, text in blocks)
    tools = [tool for tool in NOT_PYTHON_PACKAGES if re.search(rf"\b{tool} -", text) and not shutil.which(tool)]
    return tools + (["s3fs"] if "import s3fs" in text and not S3FS_PYTHON.exists() else [])


def test_every_client_has_a_section() -> None:
    """The page shows how to use each client that the project promises."""
    expected = {"aws-cli", "boto3", "rclone", "s3fs and fsspec", "pyarrow", "DuckDB", "restic", "curl"}
    assert expected == set(sections())


@pytest.mark.parametrize("title", sections())
def test_section(command: Callable[..., str], title: str) -> None:
    """Every block of the section succeeds when it is typed as it stands."""
    blocks = sections()[title]
    if missing := needed(blocks):
        pytest.skip(f"not installed: {', '.join(missing)}")
    for language, text in blocks:
        if language == "sh":
            command("bash", "-euo", "pipefail", "-c", text)
        else:
            command(S3FS_PYTHON if "import s3fs" in text else Path(sys.executable), "-c", text)
    ran = len(blocks)
    assert ran > 0
