"""Every operation's request and response means to us what it means to botocore, whose model we read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import botocore.loaders
import pytest
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from s4gw.s3 import errors, match, read_request, write_response
from s4gw.s3.model import write_by_model
from s4gw.s3.operation import ROUTED, UNROUTED
from s4gw.s3.xml_write import error_document

# without botocore's extras, which make a timestamp of Expires: S3 keeps and returns it as it was sent
LOADER = botocore.loaders.Loader(include_default_extras=False)
SERVICE = ServiceModel(LOADER.load_service_model("s3", "service-2"), "s3")
WHEN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
EVENT_STREAMS = {"SelectObjectContent"}
AMBIGUOUS = {"GetBucketNotification", "PutBucketNotification"}  # deprecated: two members share an element
ODD_ROOTS = {"GetBucketLocation"}  # botocore reads its answer with code of its own, see below


def sample(shape: Shape, name: str, variant: int) -> Any:
    """Build a value of *shape*; variant 0 has one item in each list, variant 1 two and other texts."""
    kind = shape.type_name
    if kind == "structure":
        return {n: sample(m, n, variant) for n, m in shape.members.items() if not is_stream(m)}
    if kind == "list":
        return [sample(shape.member, f"{name}{i}", variant) for i in range(variant + 1)]
    if kind == "map":
        return {f"k{i}": f"value {i}" for i in range(variant + 1)}
    if kind in {"integer", "long"}:
        return max(7 + variant, shape.metadata.get("min", 0))
    simple = {"boolean": variant == 0, "timestamp": WHEN, "blob": b"bytes", "string": f" {name} <&>\"' é 鍵 "[variant:]}
    value = simple[kind]
    if shape.metadata.get("enum"):
        value = shape.metadata["enum"][variant % len(shape.metadata["enum"])]
    elif kind == "string" and shape.serialization.get("location") in {"header", "headers", "uri", "querystring"}:
        value = f"{name}-{variant}"
    return value


def is_stream(shape: Shape) -> bool:
    return bool(shape.serialization.get("streaming")) or shape.type_name == "blob"


def operations(direction: str) -> Iterator[Any]:
    for name in SERVICE.operation_names:
        model = SERVICE.operation_model(name)
        shape = model.input_shape if direction == "input" else model.output_shape
        if shape is not None and name not in EVENT_STREAMS | AMBIGUOUS:
            yield pytest.param(model, id=name)


def sent(model: OperationModel, params: dict[str, Any]) -> dict[str, Any]:
    """Serialize as botocore does, then split as a server sees it."""
    request = create_serializer("rest-xml", include_validation=False).serialize_to_request(params, model)
    path, _, fixed = request["url_path"].partition("?")
    query = dict(parse_qsl(fixed, keep_blank_values=True))
    query |= dict(parse_qsl(urlencode(request["query_string"]), keep_blank_values=True))
    return {
        "method": request["method"],
        "path": path,
        "query": query,
        "headers": {name.lower(): value for name, value in request["headers"].items()},
        "body": request["body"] if isinstance(request["body"], bytes) else b"",
    }


@pytest.mark.parametrize("variant", [0, 1])
@pytest.mark.parametrize("model", list(operations("input")))
def test_request_means_what_botocore_meant(model: OperationModel, variant: int) -> None:
    """read_request gives back the parameters that botocore's serializer was given, for every operation."""
    params = sample(model.input_shape, "", variant)
    request = sent(model, params)

    got = read_request(
        model.name,
        bucket=params.get("Bucket", ""),
        key=params.get("Key", ""),
        query=request["query"],
        headers=request["headers"],
        body=request["body"],
    )

    assert params == got


@pytest.mark.parametrize("model", list(operations("input")))
def test_request_is_routed_to_its_operation(model: OperationModel) -> None:
    """What botocore sends for an operation is recognised as that operation."""
    params = sample(model.input_shape, "", 0)
    request = sent(model, params)
    chosen = {name: f"{name}Configuration" for name in UNROUTED} | {"ListDirectoryBuckets": "ListBuckets"}

    got = match(
        request["method"],
        bucket="Bucket" in params or model.name == "WriteGetObjectResponse",
        key="Key" in params,
        query={**request["query"], "x-id": model.name, "X-Amz-Date": "20260101T000000Z"},
        headers=request["headers"],
    )

    assert chosen.get(model.name, model.name) == got.name
    assert got == ROUTED[got.name]


class Headers(dict[str, str]):
    """Header names in any case, as botocore's parser expects them."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())


def received(model: OperationModel, response: Any) -> dict[str, Any]:
    """Parse an answer as botocore does."""
    parsed: dict[str, Any] = create_parser("rest-xml").parse(
        {
            "headers": Headers({name.lower(): value for name, value in response.headers}),
            "status_code": response.status,
            "body": response.body,
        },
        model.output_shape,
    )
    parsed.pop("ResponseMetadata")
    for name, member in model.output_shape.members.items():
        if is_stream(member):
            parsed.pop(name, None)
    return parsed


@pytest.mark.parametrize("variant", [0, 1])
@pytest.mark.parametrize("model", [p for p in operations("output") if p.id not in ODD_ROOTS])
def test_response_means_to_botocore_what_was_given(model: OperationModel, variant: int) -> None:
    """Botocore's parser gives back the result that write_response was given, for every operation."""
    result = sample(model.output_shape, "", variant)

    got = received(model, write_response(model.name, result))

    assert result == got


@pytest.mark.parametrize("model", list(operations("output")))
def test_empty_response_can_be_read(model: OperationModel) -> None:
    """A result without any member is an answer that botocore reads without complaint."""
    got = received(model, write_response(model.name, {}))

    assert {} == {name: value for name, value in got.items() if value not in ({}, "")}


@pytest.mark.parametrize(("location", "text"), [(None, b"></"), ("", b"></"), ("eu-west-1", b">eu-west-1</")])
def test_bucket_location_is_the_root_itself(location: str | None, text: bytes) -> None:
    """GetBucketLocation answers with one element that holds the region, empty for us-east-1."""
    body = write_response("GetBucketLocation", {"LocationConstraint": location}).body

    namespace = b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    assert body.endswith(b"<LocationConstraint " + namespace + text + b"LocationConstraint>")


keys = st.text(max_size=20)
entries = st.fixed_dictionaries(
    {
        "Key": keys,
        "LastModified": st.integers(0, 4_000_000_000_000) | st.just(WHEN),
        "ETag": st.just('"d41d8cd98f00b204e9800998ecf8427e-3"') | keys,
        "Size": st.integers(0, 2**43),
        "StorageClass": st.just("STANDARD"),
    },
    optional={
        "Owner": st.fixed_dictionaries({}, optional={"ID": keys, "DisplayName": keys}),
        "ChecksumAlgorithm": st.sampled_from([["CRC32"], ["CRC32C", "SHA1"], []]),
        "ChecksumType": st.sampled_from(["COMPOSITE", "FULL_OBJECT"]),
        "RestoreStatus": st.just({"IsRestoreInProgress": True}),
    },
)


@given(
    st.fixed_dictionaries(
        {"Name": keys, "IsTruncated": st.booleans(), "Contents": st.lists(entries, max_size=4)},
        optional={
            "Prefix": keys,
            "CommonPrefixes": st.lists(st.fixed_dictionaries({"Prefix": keys})),
            "MaxKeys": st.integers(0, 1000),
            "NextMarker": st.none() | keys,
            "RequestCharged": st.just("requester"),
        },
    ),
    st.sampled_from(["ListObjects", "ListObjectsV2"]),
)
def test_fast_listing_equals_the_models(result: dict[str, Any], operation: str) -> None:
    """The hand-written listing is byte for byte what the model writes."""
    expected = write_by_model(operation, result)

    assert expected == write_response(operation, result)


def test_partial_content_has_its_status() -> None:
    """A GetObject with a ContentRange is a 206, without one a 200, a delete a 204."""
    statuses = [
        write_response("GetObject", {"ContentRange": "bytes 0-1/5"}).status,
        write_response("GetObject", {}).status,
        write_response("DeleteObject", {}).status,
    ]

    assert [206, 200, 204] == statuses


def test_error_document_is_what_botocore_reads() -> None:
    """Code, message and facts of an error arrive, whatever characters a key has."""
    error = errors.NoSuchKey(Key="a<b>&\"'\x01é")
    body = error_document(error, resource="/b/a<b>", request_id="R", host_id="H")

    assert body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>')
    assert b"<Key>a&lt;b&gt;&amp;&quot;'&#x1;\xc3\xa9</Key>" in body
    assert body.endswith(b"<Resource>/b/a&lt;b&gt;</Resource><RequestId>R</RequestId><HostId>H</HostId></Error>")


BAD_PARAMETERS = [
    ("ListObjectsV2", {"max-keys": "-1"}, {}, "InvalidArgument"),
    ("ListObjectsV2", {"max-keys": "a"}, {}, "InvalidArgument"),
    ("ListObjectsV2", {"max-keys": "9" * 5000}, {}, "InvalidArgument"),
    ("ListObjectsV2", {"max-keys": "2147483648"}, {}, "InvalidArgument"),
    ("ListObjectsV2", {"encoding-type": "utf8"}, {}, "InvalidArgument"),
    ("GetObject", {"versionId": ""}, {}, "InvalidArgument"),
    ("ListBuckets", {"max-buckets": "0"}, {}, "InvalidArgument"),
    ("PutObject", {}, {"x-amz-acl": "everyone"}, "InvalidArgument"),
    ("PutObject", {}, {"x-amz-storage-class": "CHEAP"}, "InvalidStorageClass"),
    ("PutObject", {}, {"x-amz-server-side-encryption": "rot13"}, "InvalidArgument"),
    ("PutObject", {}, {"x-amz-object-lock-retain-until-date": "soon"}, "InvalidArgument"),
    ("PutObject", {}, {"x-amz-meta-a": "x" * 2048}, "MetadataTooLarge"),
    ("CreateMultipartUpload", {}, {"x-amz-checksum-algorithm": "CRC7"}, "InvalidRequest"),
    ("CopyObject", {}, {"x-amz-copy-source": "/a/b", "x-amz-metadata-directive": "MOVE"}, "InvalidArgument"),
    ("GetObjectAttributes", {}, {"x-amz-object-attributes": "ETag,Colour"}, "InvalidArgument"),
    ("GetObjectAttributes", {}, {}, "InvalidRequest"),
]


@pytest.mark.parametrize(("operation", "query", "headers", "code"), BAD_PARAMETERS)
def test_bad_parameter_gets_s3s_error(
    operation: str, query: dict[str, str], headers: dict[str, str], code: str
) -> None:
    """A value that S3 does not allow is refused with S3's code for it."""
    with pytest.raises(errors.S3Error) as caught:
        read_request(operation, bucket="b", key="k", query=query, headers=headers)

    assert code == caught.value.code


def test_unreadable_dates_are_ignored() -> None:
    """HTTP wants conditions with a date that is none ignored; an empty query number is no number."""
    got = read_request(
        "GetObject",
        bucket="b",
        key="k",
        query={"partNumber": ""},
        headers={"if-modified-since": "yesterday", "x-amz-checksum-mode": "disabled"},
    )

    assert {"Bucket": "b", "Key": "k"} == got


BAD_DOCUMENTS = [
    ("DeleteObjects", b"", "MissingRequestBodyError"),
    ("DeleteObjects", b"<Delete></Delete>", "MalformedXML"),
    ("DeleteObjects", b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>", "MalformedXML"),
    ("DeleteObjects", b"<Delete><Object></Object></Delete>", "MalformedXML"),
    ("DeleteObjects", b"<Remove><Object><Key>k</Key></Object></Remove>", "MalformedXML"),
    ("DeleteObjects", b"<Delete><Object><Key>k</Key><Key>l</Key></Object></Delete>", "MalformedXML"),
    ("DeleteObjects", b"<Delete><Object><Key>k<b/></Key></Object></Delete>", "MalformedXML"),
    ("DeleteObjects", b"<Delete><Object><Key>k</Key></Object><Quiet>maybe</Quiet></Delete>", "MalformedXML"),
    ("DeleteObjects", b"<Delete><Object><Key>k</Key>", "MalformedXML"),
    ("DeleteObjects", b"\xff\xfe\xfd", "MalformedXML"),
    ("DeleteObjects", b'<?xml version="1.0" encoding="nonsense"?><Delete/>', "MalformedXML"),
    ("CompleteMultipartUpload", b"", "MalformedXML"),
    ("CompleteMultipartUpload", b"<CompleteMultipartUpload/>", "MalformedXML"),
    ("PutBucketVersioning", b"<VersioningConfiguration><Status>On</Status></VersioningConfiguration>", "MalformedXML"),
    ("PutBucketAcl", b"<AccessControlPolicy><Owner>", "MalformedACLError"),
    ("PutBucketPolicy", b"\xff", "MalformedPolicy"),
    ("PutBucketTagging", b"<Tagging>" + b"<x>" * 20 + b"</x>" * 20 + b"</Tagging>", "MalformedXML"),
    ("PutBucketTagging", b"<Tagging>" + b"<x/>" * 100_001 + b"</Tagging>", "MalformedXML"),
    ("PutBucketTagging", b'<!DOCTYPE a [<!ENTITY e "eee">]><Tagging><TagSet/></Tagging>', "MalformedXML"),
    ("PutBucketTagging", b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><Tagging><TagSet/></Tagging>', "MalformedXML"),
]


@pytest.mark.parametrize(("operation", "body", "code"), BAD_DOCUMENTS)
def test_bad_document_gets_s3s_error(operation: str, body: bytes, code: str) -> None:
    """A document that does not fit the model, or tries to make the parser work, is refused with S3's code."""
    with pytest.raises(errors.S3Error) as caught:
        read_request(operation, bucket="b", key="k", query={"uploadId": "u"}, headers={}, body=body)

    assert code == caught.value.code


def test_documents_are_read_as_s3_reads_them() -> None:
    """Any namespace or none, unknown elements skipped, whitespace around values dropped but kept in keys."""
    body = (
        b'<?xml version="1.0"?>\n<d:Delete xmlns:d="urn:x"><Color/>'
        b"<d:Object>\n <Key> a b </Key><VersionId>v</VersionId></d:Object><Quiet> TRUE\n</Quiet></d:Delete>"
    )

    got = read_request("DeleteObjects", bucket="b", key="", query={"delete": ""}, headers={}, body=body)

    assert {"Bucket": "b", "Delete": {"Objects": [{"Key": " a b ", "VersionId": "v"}], "Quiet": True}} == got


def test_any_region_may_be_named() -> None:
    """Where a bucket may be created is not the protocol's to say: AWS's list of regions binds nobody else."""
    body = b"<CreateBucketConfiguration><LocationConstraint>moon-1</LocationConstraint></CreateBucketConfiguration>"

    got = read_request("CreateBucket", bucket="b", key="", query={}, headers={}, body=body)

    assert {"LocationConstraint": "moon-1"} == got["CreateBucketConfiguration"]


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda t: f"<Delete>{t}</Delete>".encode()))
def test_any_document_is_read_or_refused(body: bytes) -> None:
    """No bytes make the reader do anything but read or refuse them with an S3 error."""
    try:
        got = read_request("DeleteObjects", bucket="b", key="", query={}, headers={}, body=body)
    except errors.S3Error as refused:
        got = {"Bucket": "b", "code": refused.code}

    assert "b" == got["Bucket"]
