"""A request is routed to the operation that S3 would run, and never to a more harmful one."""

from __future__ import annotations

import pytest

from s4gw.s3 import errors, match
from s4gw.s3.errors import MethodNotAllowed
from s4gw.s3.operation import TABLE, Scope

FORM = {"content-type": "multipart/form-data; boundary=x"}

ROUTES = [
    ("GET", "", "", {}, "ListBuckets"),
    ("GET", "b", "", {}, "ListObjects"),
    ("GET", "b", "", {"list-type": "2"}, "ListObjectsV2"),
    ("GET", "b", "", {"list-type": "1"}, "ListObjects"),
    ("GET", "b", "", {"colour": "red", "x-id": "Whatever"}, "ListObjects"),
    ("GET", "b", "", {"uploads": ""}, "ListMultipartUploads"),
    ("GET", "b", "", {"analytics": ""}, "ListBucketAnalyticsConfigurations"),
    ("GET", "b", "", {"analytics": "", "id": "1"}, "GetBucketAnalyticsConfiguration"),
    ("GET", "b", "", {"lifecycle": ""}, "GetBucketLifecycleConfiguration"),
    ("HEAD", "b", "", {}, "HeadBucket"),
    ("PUT", "b", "", {}, "CreateBucket"),
    ("DELETE", "b", "", {}, "DeleteBucket"),
    ("POST", "b", "", {"delete": ""}, "DeleteObjects"),
    ("OPTIONS", "b", "", {}, "Preflight"),
    ("OPTIONS", "b", "k", {}, "Preflight"),
    ("GET", "b", "k", {}, "GetObject"),
    ("GET", "b", "k", {"partNumber": "1", "versionId": "v"}, "GetObject"),
    ("GET", "b", "k", {"uploadId": "u"}, "ListParts"),
    ("GET", "b", "k", {"attributes": ""}, "GetObjectAttributes"),
    ("PUT", "b", "k", {}, "PutObject"),
    ("PUT", "b", "k", {"uploadId": "u", "partNumber": "1"}, "UploadPart"),
    ("PUT", "b", "k", {"acl": ""}, "PutObjectAcl"),
    ("PUT", "b", "k", {"renameObject": ""}, "RenameObject"),
    ("POST", "b", "k", {"uploads": ""}, "CreateMultipartUpload"),
    ("POST", "b", "k", {"uploadId": "u"}, "CompleteMultipartUpload"),
    ("POST", "b", "k", {"select": "", "select-type": "2"}, "SelectObjectContent"),
    ("DELETE", "b", "k", {}, "DeleteObject"),
    ("DELETE", "b", "k", {"uploadId": "u"}, "AbortMultipartUpload"),
]


@pytest.mark.parametrize(("method", "bucket", "key", "query", "name"), ROUTES)
def test_route(method: str, bucket: str, key: str, query: dict[str, str], name: str) -> None:
    """Method, path and query choose the operation; what S3 does not know is ignored."""
    got = match(method, bucket=bool(bucket), key=bool(key), query=query, headers={})

    assert name == got.name


def test_headers_choose_where_s3_lets_them() -> None:
    """A copy source makes a copy, a form on a bucket an upload; a sub-resource outweighs both."""
    source = {"x-amz-copy-source": "a/b"}
    part = {"uploadId": "u", "partNumber": "1"}
    names = [
        match("PUT", bucket=True, key=True, query={}, headers=source).name,
        match("PUT", bucket=True, key=True, query=part, headers=source).name,
        match("PUT", bucket=True, key=True, query={"acl": ""}, headers=source).name,
        match("POST", bucket=True, key=False, query={}, headers=FORM).name,
        match("POST", bucket=True, key=False, query={"delete": ""}, headers=FORM).name,
        match("POST", bucket=True, key=False, query={}, headers={"x-amz-request-route": "r"}).name,
    ]

    expected = ["CopyObject", "UploadPartCopy", "PutObjectAcl", "PostObject", "DeleteObjects", "WriteGetObjectResponse"]
    assert expected == names


@pytest.mark.parametrize(("method", "scope"), sorted({place[:2] for place in TABLE}))
@pytest.mark.parametrize("header", ["", "x-amz-copy-source", "x-amz-request-route", "host"])
def test_a_request_without_query_is_what_its_first_fitting_row_says(method: str, scope: Scope, header: str) -> None:
    """The short way of `match` is the way of the table."""
    headers = {header: "a"} if header else {}
    row = next((row for row in TABLE.get((method, scope, ""), ()) if row.fits({}, headers)), None)
    try:
        got = match(method, bucket=scope != Scope.SERVICE, key=scope == Scope.KEY, query={}, headers=headers).name
    except errors.S3Error:
        got = None

    assert (row.operation.name if row else None) == got


REFUSED = [
    ("PUT", "", "", {}, "MethodNotAllowed"),
    ("HEAD", "", "", {}, "MethodNotAllowed"),
    ("POST", "b", "k", {}, "MethodNotAllowed"),
    ("POST", "b", "k", {"select": ""}, "MethodNotAllowed"),
    ("PATCH", "b", "k", {}, "MethodNotAllowed"),
    ("OPTIONS", "", "", {}, "MethodNotAllowed"),
    ("DELETE", "b", "k", {"acl": ""}, "MethodNotAllowed"),
    ("DELETE", "b", "", {"versioning": ""}, "MethodNotAllowed"),
    ("DELETE", "b", "", {"acl": "", "tagging": ""}, "InvalidArgument"),
    ("DELETE", "b", "", {"analytics": ""}, "InvalidArgument"),
    ("PUT", "b", "k", {"uploadId": "u"}, "InvalidArgument"),
    ("PUT", "b", "k", {"partNumber": "1"}, "InvalidArgument"),
    ("POST", "b", "", {}, "PreconditionFailed"),
]


@pytest.mark.parametrize(("method", "bucket", "key", "query", "code"), REFUSED)
def test_refused(method: str, bucket: str, key: str, query: dict[str, str], code: str) -> None:
    """What S3 knows and cannot do is refused, not taken for something else: no stray PutObject, no stray delete."""
    with pytest.raises(errors.S3Error) as caught:
        match(method, bucket=bool(bucket), key=bool(key), query=query, headers={})

    assert code == caught.value.code


def test_operations_tell_about_their_bodies() -> None:
    """Whether a body is expected, is a stream, and must have a digest comes from the model."""
    put = match("PUT", bucket=True, key=True, query={}, headers={})
    delete = match("POST", bucket=True, key=False, query={"delete": ""}, headers={})
    get = match("GET", bucket=True, key=True, query={}, headers={})

    facts = [(o.has_body, o.streams, o.checksum_required, o.hot) for o in (put, delete, get)]
    assert [(True, True, False, True), (True, False, True, False), (False, False, False, True)] == facts


def test_a_refused_method_says_which_there_are() -> None:
    """RFC 9110, section 15.5.6."""
    with pytest.raises(MethodNotAllowed) as caught:
        match("PATCH", bucket=True, key=True, query={}, headers={})
    assert {"Allow": "DELETE, GET, HEAD, POST, PUT"} == dict(caught.value.headers)
