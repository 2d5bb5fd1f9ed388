"""Lifecycle configurations: what S3 takes is taken, what it refuses is refused with its errors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from s4gw.bucketconfig import Rule, dump_document, stored_lifecycle
from s4gw.bucketconfig.lifecycle import parse_lifecycle
from s4gw.s3.errors import InvalidArgument, InvalidRequest, MalformedXML, S3Error
from s4gw.s3.errors import NotImplemented as S3NotImplemented

MIDNIGHT = datetime(2030, 1, 1, tzinfo=UTC)
TAG = {"Key": "a", "Value": "b"}


def rule(**changed: Any) -> dict[str, Any]:
    """A rule that is fine; None removes a member."""
    members = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "p/"}, "Expiration": {"Days": 1}} | changed
    return {name: value for name, value in members.items() if value is not None}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (rule(), Rule(id="r", prefix="p/", days=1)),
        (rule(Filter=None, Prefix=""), Rule(id="r", days=1)),
        (rule(Filter={}, Expiration={"Date": MIDNIGHT}), Rule(id="r", date_ms=1_893_456_000_000)),
        (rule(Expiration={"ExpiredObjectDeleteMarker": True}), Rule(id="r", prefix="p/", markers=True)),
        (rule(Filter={"Tag": TAG}), Rule(id="r", tags={"a": "b"}, days=1)),
        (
            rule(Filter={"Prefix": "", "ObjectSizeGreaterThan": 5}),
            Rule(id="r", larger=5, days=1),
        ),
        (
            rule(Filter={"And": {"Prefix": "x", "Tags": [TAG], "ObjectSizeLessThan": 9, "ObjectSizeGreaterThan": 0}}),
            Rule(id="r", prefix="x", tags={"a": "b"}, larger=0, smaller=9, days=1),
        ),
        (
            rule(Expiration=None, NoncurrentVersionExpiration={"NoncurrentDays": 3, "NewerNoncurrentVersions": 2}),
            Rule(id="r", prefix="p/", noncurrent_days=3, newer_versions=2),
        ),
        (
            rule(Expiration=None, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7}),
            Rule(id="r", prefix="p/", abort_days=7),
        ),
    ],
)
def test_a_configuration_is_kept_and_read_back(given: dict[str, Any], expected: Rule) -> None:
    stored = dump_document(parse_lifecycle({"Rules": [given]}))
    assert (expected,) == stored_lifecycle({"lifecycle": stored})


def test_disabled_rules_are_kept_and_not_applied() -> None:
    document = parse_lifecycle({"Rules": [rule(Status="Disabled")]})
    assert (1, ()) == (len(document["Rules"]), stored_lifecycle({"lifecycle": dump_document(document)}))


def test_rules_without_an_id_get_one_each() -> None:
    """The same ones for the same configuration."""
    given = {"Rules": [rule(ID=None), rule(ID=None), rule(ID="")]}
    ids = [kept["ID"] for kept in parse_lifecycle(given)["Rules"]]
    assert (3, ids) == (len(set(ids)), [kept["ID"] for kept in parse_lifecycle(given)["Rules"]])


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        ([], MalformedXML),
        ([rule(ID=str(n)) for n in range(1001)], MalformedXML),
        ([rule(), rule()], InvalidArgument),
        ([rule(ID="x" * 256)], InvalidArgument),
        ([rule(Expiration=None)], InvalidRequest),
        ([rule(Filter=None)], MalformedXML),
        ([rule(Prefix="p/")], MalformedXML),
        ([rule(Filter={"Prefix": "p", "Tag": TAG})], MalformedXML),
        ([rule(Filter={"And": {"Tags": [TAG, TAG]}})], InvalidRequest),
        ([rule(Filter={"And": {"ObjectSizeGreaterThan": 5, "ObjectSizeLessThan": 5}})], InvalidRequest),
        ([rule(Filter={"ObjectSizeGreaterThan": -1})], InvalidArgument),
        ([rule(Filter={"ObjectSizeLessThan": 0})], InvalidArgument),
        ([rule(Expiration={"Days": 0})], InvalidArgument),
        ([rule(Expiration={"Days": -1})], InvalidArgument),
        ([rule(Expiration={"Days": 1, "Date": MIDNIGHT})], MalformedXML),
        ([rule(Expiration={"Date": MIDNIGHT.replace(hour=1)})], InvalidArgument),
        ([rule(Filter={"Tag": TAG}, Expiration={"ExpiredObjectDeleteMarker": True})], InvalidRequest),
        ([rule(NoncurrentVersionExpiration={"NewerNoncurrentVersions": 1})], MalformedXML),
        ([rule(NoncurrentVersionExpiration={"NoncurrentDays": 0})], InvalidArgument),
        ([rule(NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 101})], InvalidArgument),
        ([rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 0})], InvalidArgument),
        ([rule(Filter={"Tag": TAG}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})], InvalidRequest),
        (
            [rule(Filter={"ObjectSizeLessThan": 9}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})],
            InvalidRequest,
        ),
        ([rule(Transitions=[{"Days": 1, "StorageClass": "GLACIER"}])], S3NotImplemented),
        ([rule(NoncurrentVersionTransitions=[{"NoncurrentDays": 1, "StorageClass": "GLACIER"}])], S3NotImplemented),
    ],
)
def test_what_s3_refuses_is_refused(rules: list[dict[str, Any]], error: type[S3Error]) -> None:
    with pytest.raises(error):
        parse_lifecycle({"Rules": rules})
