"""Tests of s4gw.tools.cli, serve and version: exit codes, one-line errors, a start page that can be pasted."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from s4gw.auth import Credentials
from s4gw.settings import Settings
from s4gw.tools import cli, serve, version
from s4gw.tools.serve import start_page


def test_version_tells_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    """One line per part, ours first."""
    status = cli.main(["version"])
    lines = capsys.readouterr().out.splitlines()
    assert (0, True, []) == (status, lines[0].startswith("s4gw "), [line for line in lines if "missing" in line])


def test_misuse_is_one_line_and_exit_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A setting that cannot be meant stops the command before it does anything."""
    status = cli.main(["serve", "--tls-cert", "x.pem"])
    assert (2, "s4gw: --tls-cert: TLS is not there yet\n") == (status, capsys.readouterr().err)


def test_a_command_brings_what_it_needs_only() -> None:
    """Each command is known by the name under which it is looked for, and none imports the others' libraries."""
    code = "import sys; from s4gw.tools import cli; cli.main(['version']); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    names = [line.split()[0] for line in _help().splitlines() if re.match(r" {4}[a-z]", line)]
    loaded = shown.splitlines()[-1].split()
    assert (list(cli.COMMANDS), [], True) == (
        names,
        [each for each in ("numpy", "boto3", "s4gw.codec", "s4gw.store") if each in loaded],
        "s4gw.tools.version" in loaded,
    )


def _help() -> str:
    with contextlib.redirect_stdout(io.StringIO()) as shown, pytest.raises(SystemExit):
        cli.main(["--help"])
    return shown.getvalue()


def test_an_unknown_command_is_misuse() -> None:
    """As argparse has it."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["fly"])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (PermissionError(13, "Permission denied", "/x"), 3, "s4gw: /x: Permission denied\n"),
        (RuntimeError("odd"), 3, "s4gw: RuntimeError: odd (S4GW_DEBUG=1 tells more)\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_command_that_fails_says_why(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    line: str,
) -> None:
    """One line instead of a traceback, and an exit status that scripts can tell apart."""

    def fail(_arguments: object) -> int:
        raise error

    monkeypatch.setattr(version, "run", fail)
    assert (status, line) == (cli.main(["version"]), capsys.readouterr().err)


def test_the_start_page_shows_a_new_root_key_once() -> None:
    """Address, key and three commands that work as they stand."""
    settings = Settings(host="0.0.0.0", port=9000, data_dir=Path("/srv/data"), metrics_port=9100)
    page = start_page(settings, Credentials("AKNEW", "SECRET", "o" * 64, "root"))
    expected = [
        "export AWS_ACCESS_KEY_ID=AKNEW",
        "export AWS_SECRET_ACCESS_KEY=SECRET",
        "export AWS_DEFAULT_REGION=us-east-1",
        "aws --endpoint-url http://127.0.0.1:9000 s3 mb s3://first",
        "aws --endpoint-url http://127.0.0.1:9000 s3 ls s3://first",
        "/srv/data/credentials",
        "metrics: http://127.0.0.1:9100/metrics",
    ]
    assert [] == [text for text in expected if text not in page]


def test_the_start_page_points_to_keys_that_exist() -> None:
    """No secret is shown again: aws-cli reads the file, or the environment that the gateway was given."""
    kept = start_page(Settings(data_dir=Path("/srv/my data")), None)
    given = start_page(Settings(data_dir=Path("/d"), root_access_key="AK", root_secret_key="hidden"), None)
    assert "AWS_SHARED_CREDENTIALS_FILE='/srv/my data/credentials' AWS_PROFILE=root" in kept
    assert "hidden" not in given


def test_the_start_page_warns_of_keys_that_everybody_can_read(tmp_path: Path) -> None:
    """One line with what to do; a group may read them."""
    file = tmp_path / "users"
    file.touch()
    told = []
    for mode in (0o644, 0o640, 0o600):
        file.chmod(mode)
        told.append("chmod 600" in start_page(Settings(data_dir=tmp_path, credentials_file=file), None))
    assert [True, False, False] == told


def test_the_gunicorn_configuration_of_the_working_directory_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`s4gw serve` in a clone reads conf/gunicorn.conf.py; --gunicorn-conf names another."""
    (tmp_path / "conf").mkdir()
    conf = tmp_path / "conf" / "gunicorn.conf.py"
    conf.write_text("threads = 3\n")
    monkeypatch.chdir(tmp_path)
    seen: list[Settings] = []

    def pretend(settings: Settings, *_hooks: object) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setattr("s4gw.gateway.server.serve", pretend)
    status = cli.main(["serve", "--data-dir", str(tmp_path / "d")])
    assert (0, [conf]) == (status, [settings.gunicorn_conf for settings in seen])
    assert serve.CONF == Path("conf/gunicorn.conf.py")
