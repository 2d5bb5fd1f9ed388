"""Tests of s4gw.gateway.access: who may come in, read from files, and the root key of the first start."""

from __future__ import annotations

from pathlib import Path

import pytest

from s4gw.gateway import access
from s4gw.settings import Settings, SettingsError

PAIR = "[{name}]\naws_access_key_id = {key}\naws_secret_access_key = s3cret-{key}\n"


def test_a_root_pair_is_made_once(tmp_path: Path) -> None:
    """The first start makes it, readable by its owner only; later starts read it."""
    settings = Settings(data_dir=tmp_path)
    made = access.ensure_root_key(settings)
    assert made is not None
    again = access.ensure_root_key(settings)
    found = access.load(settings).credentials.find(made.access_key)
    assert (None, made, 0o600, ["credentials"]) == (
        again,
        found,
        settings.generated_credentials.stat().st_mode & 0o777,
        [path.name for path in tmp_path.iterdir()],
    )
    assert (20, 40) == (len(made.access_key), len(made.secret_key))


def test_no_root_pair_where_keys_are_given(tmp_path: Path) -> None:
    """The environment and a credentials file are the operator's decision."""
    file = tmp_path / "users"
    file.write_text(PAIR.format(name="alice", key="ALICE"))
    given = Settings(data_dir=tmp_path, root_access_key="AK", root_secret_key="SK")
    listed = Settings(data_dir=tmp_path, credentials_file=file)
    assert (None, None, False) == (
        access.ensure_root_key(given),
        access.ensure_root_key(listed),
        (tmp_path / "credentials").exists(),
    )


def test_the_environment_replaces_the_generated_pair_and_a_file_adds(tmp_path: Path) -> None:
    """Who sets a root pair means that one; users of the file are there as well."""
    made = access.ensure_root_key(Settings(data_dir=tmp_path))
    assert made is not None
    file = tmp_path / "users"
    file.write_text(PAIR.format(name="alice", key="ALICE"))
    settings = Settings(data_dir=tmp_path, credentials_file=file, root_access_key="AK", root_secret_key="SK")
    store = access.load(settings).credentials
    known = [store.find(key) is not None for key in ("AK", "ALICE", made.access_key)]
    assert [True, True, False] == known


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[a]\naws_access_key_id = x\n", PAIR.format(name="a", key="X") + "colour = red\n"]
)
def test_a_broken_credentials_file_is_one_line_without_secrets(tmp_path: Path, text: str) -> None:
    """It names the file and says what is wrong."""
    file = tmp_path / "users"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        access.load(Settings(data_dir=tmp_path, credentials_file=file))
    line = str(caught.value)
    assert (True, False, False) == (line.startswith(str(file)), "\n" in line, "s3cret" in line)


def test_two_pairs_cannot_share_an_access_key(tmp_path: Path) -> None:
    """Whoever signs with it would be one of two users."""
    file = tmp_path / "users"
    file.write_text(PAIR.format(name="alice", key="AK"))
    with pytest.raises(SettingsError, match="already"):
        access.load(Settings(data_dir=tmp_path, credentials_file=file, root_access_key="AK", root_secret_key="SK"))


def test_a_policy_is_read_and_a_broken_one_refused(tmp_path: Path) -> None:
    """What the policy engine does not know is refused at start."""
    sample = Path(__file__).parents[2] / "conf" / "policy.sample.json"
    assert access.load(Settings(data_dir=tmp_path, policy=sample)).policy is not None
    broken = tmp_path / "policy.json"
    broken.write_text('{"Version": "2012-10-17", "Statement": [{"Effect": "Maybe"}]}')
    with pytest.raises(SettingsError, match=r"policy\.json"):
        access.load(Settings(data_dir=tmp_path, policy=broken))


def test_the_sample_credentials_can_be_read(tmp_path: Path) -> None:
    """What is shown as an example works, with its keys changed."""
    sample = Path(__file__).parents[2] / "conf" / "credentials.sample"
    assert len(access.load(Settings(data_dir=tmp_path, credentials_file=sample)).credentials) == 3
