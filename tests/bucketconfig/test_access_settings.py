"""Object ownership, public access block and versioning: read, shown and kept."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from s4gw.bucketconfig import (
    PublicAccessBlock,
    check_ownership,
    dump_document,
    load_document,
    ownership_document,
    parse_ownership,
    parse_public_access_block,
    parse_versioning,
    public_access_block_document,
    stored_ownership,
    stored_public_access_block,
)
from s4gw.s3.errors import (
    IllegalVersioningConfigurationException,
    InternalError,
    InvalidArgument,
    MalformedXML,
    S3Error,
)


@pytest.mark.parametrize("switches", list(itertools.product([False, True], repeat=4)))
def test_switches_survive_keeping(switches: tuple[bool, bool, bool, bool]) -> None:
    """Each of them for itself."""
    block = PublicAccessBlock(*switches)
    document = public_access_block_document(block)
    kept = stored_public_access_block({"publicAccessBlock": dump_document(document)})
    assert [block, block] == [parse_public_access_block(document), kept]


def test_switches_left_out_are_off() -> None:
    """As is a bucket without configuration."""
    assert [PublicAccessBlock(ignore_public_acls=True), PublicAccessBlock()] == [
        parse_public_access_block({"IgnorePublicAcls": True}),
        stored_public_access_block({}),
    ]


@pytest.mark.parametrize("value", ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"])
def test_ownerships_survive_keeping(value: str) -> None:
    """All three that S3 has."""
    document = ownership_document(check_ownership(value))
    assert [value, value] == [
        parse_ownership(document),
        stored_ownership({"ownershipControls": dump_document(document)}),
    ]


def test_no_ownership_is_told_apart() -> None:
    """From one that says what holds anyway."""
    assert "" == stored_ownership({})


@pytest.mark.parametrize(
    "rules", [None, [], [{}], [{"ObjectOwnership": "Mine"}], [{"ObjectOwnership": "ObjectWriter"}] * 2]
)
def test_bad_ownerships_are_refused(rules: Any) -> None:
    """One rule, one known value."""
    with pytest.raises(MalformedXML):
        parse_ownership({"Rules": rules})


def test_a_bad_ownership_header_is_refused() -> None:
    """On CreateBucket."""
    with pytest.raises(InvalidArgument):
        check_ownership("Mine")


@pytest.mark.parametrize("state", ["Enabled", "Suspended"])
def test_versioning_states(state: str) -> None:
    """Both that can be set."""
    assert (state, None) == parse_versioning({"Status": state})


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({}, IllegalVersioningConfigurationException),
        ({"Status": "Off"}, MalformedXML),
        ({"Status": "Enabled", "MFADelete": "on"}, MalformedXML),
    ],
)
def test_bad_versioning_is_refused(document: dict[str, str], error: type[S3Error]) -> None:
    """Nothing is guessed."""
    with pytest.raises(error):
        parse_versioning(document)


@pytest.mark.parametrize("stored", [b"", b"{", b"[]", b"\xff"])
def test_damage_is_not_taken_for_a_setting(stored: bytes) -> None:
    """An unreadable document refuses the request instead of opening the bucket."""
    with pytest.raises(InternalError):
        load_document(stored)
