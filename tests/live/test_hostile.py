"""Hostile input over real sockets: each case gets S3's own error, nothing is stored, the gateway goes on serving."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.live.gateway import ALT, MAIN, Gateway, User
from tests.live.raw_client import (
    STREAMING,
    STREAMING_TRAILER,
    UNSIGNED_TRAILER,
    Raw,
    Reply,
    crc32,
    unsigned_chunks,
)

BODY = b"attack at dawn\n" * 5000
PIECES = [BODY[:65536], BODY[65536:]]
ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<!DOCTYPE x [<!ENTITY e0 "boom">{ENTITIES}]><Delete><Object><Key>&e9;</Key></Object></Delete>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&f;</Key></Object></Delete>'


@pytest.fixture
def raw(gateway: Gateway) -> Iterator[Raw]:
    """The raw client; afterwards the same workers are there and serve."""
    before = set(gateway.workers())  # another may be starting, just after the gateway has
    yield Raw(gateway)
    assert (True, before) == (gateway.alive(), before & set(gateway.workers()))


def streaming(raw: Raw, path: str, mode: str, length: int = len(BODY), **more: str) -> Any:
    """Sign the head of an aws-chunked upload."""
    headers = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(length)}
    return raw.sign("PUT", path, headers=headers | {k.replace("_", "-"): v for k, v in more.items()}, sha256=mode)


def flip(text: str) -> str:
    """Change the last hex digit."""
    return text[:-1] + ("0" if text[-1] != "0" else "1")


def test_control_all_streaming_modes_are_accepted_when_right(raw: Raw, bucket: str) -> None:
    """The refusals below are not for another reason: the same requests, untouched, are stored."""
    path = f"/{bucket}/k"
    signed = streaming(raw, path, STREAMING)
    first = raw.put_chunked(signed.chunks(PIECES), signed)
    signed = streaming(raw, path, STREAMING_TRAILER, x_amz_trailer="x-amz-checksum-crc32")
    second = raw.put_chunked(signed.chunks_and_trailer(PIECES, "x-amz-checksum-crc32", crc32(BODY)), signed)
    signed = streaming(raw, path, UNSIGNED_TRAILER, x_amz_trailer="x-amz-checksum-crc32")
    third = raw.put_chunked(unsigned_chunks(PIECES, {"x-amz-checksum-crc32": crc32(BODY)}), signed)
    etag = f'"{hashlib.md5(BODY).hexdigest()}"'
    assert [(200, etag)] * 3 == [(reply.status, reply.headers.get("etag")) for reply in (first, second, third)]


@pytest.mark.parametrize(
    ("user", "code"),
    [
        (User("forger", MAIN.access_key, "not the secret", ""), "SignatureDoesNotMatch"),
        (User("nobody", "NOSUCHKEY00000000000", "whatever", ""), "InvalidAccessKeyId"),
    ],
)
def test_forged_signature(raw: Raw, bucket: str, user: User, code: str) -> None:
    """A wrong secret and an unknown key are refused by name."""
    reply = Raw(raw.gateway, user).put(f"/{bucket}/k", BODY)
    assert (403, code, False) == (reply.status, reply.code, raw.exists(f"/{bucket}/k"))


def test_signature_of_another_request(raw: Raw, bucket: str) -> None:
    """A signature moved to another key, method or header value does not hold."""
    signed = raw.sign("PUT", f"/{bucket}/mine", headers={"x-amz-meta-a": "1"})
    end = b"content-length: 1\r\n\r\nx"
    replies = [
        raw.send(signed.head.replace(b"/mine", b"/other") + end),
        raw.send(signed.head.replace(b"PUT", b"DELETE") + b"content-length: 0\r\n\r\n"),
        raw.send(signed.head.replace(b"x-amz-meta-a: 1", b"x-amz-meta-a: 2") + end),
        raw.send(signed.head.replace(b"UNSIGNED-PAYLOAD", hashlib.sha256(b"y").hexdigest().encode()) + end),
    ]
    assert [(403, "SignatureDoesNotMatch")] * 4 == [(reply.status, reply.code) for reply in replies]


@pytest.mark.parametrize("shift_s", [-16 * 60, 16 * 60])
def test_replayed_signature(raw: Raw, bucket: str, shift_s: int) -> None:
    """A request signed more than 15 minutes ago, or ahead, is refused."""
    signed = raw.sign("PUT", f"/{bucket}/k", at=time.time() + shift_s)
    reply = raw.send(signed.head + b"content-length: 1\r\n\r\nx")
    assert (403, "RequestTimeTooSkewed") == (reply.status, reply.code)


def test_unsigned_amz_header(raw: Raw, bucket: str) -> None:
    """An x-amz header added behind the signature is not believed."""
    signed = raw.sign("PUT", f"/{bucket}/k")
    reply = raw.send(signed.head + b"x-amz-acl: public-read-write\r\ncontent-length: 1\r\n\r\nx")
    assert (403, False) == (reply.status, raw.exists(f"/{bucket}/k"))


def test_other_users_bucket(gateway: Gateway, raw: Raw, bucket: str) -> None:
    """A valid user has no business in another's bucket."""
    reply = Raw(gateway, ALT).put(f"/{bucket}/k", BODY)
    assert (403, "AccessDenied", False) == (reply.status, reply.code, raw.exists(f"/{bucket}/k"))


def test_anonymous(raw: Raw, bucket: str) -> None:
    """Without a signature there is nothing to read or write."""
    host = raw.gateway.address.encode()
    replies = [
        raw.send(b"PUT /%b/k HTTP/1.1\r\nhost: %b\r\ncontent-length: 1\r\n\r\nx" % (bucket.encode(), host)),
        raw.send(b"GET /%b HTTP/1.1\r\nhost: %b\r\n\r\n" % (bucket.encode(), host)),
    ]
    buckets = raw.send(b"GET / HTTP/1.1\r\nhost: %b\r\n\r\n" % host)
    assert ([(403, "AccessDenied")] * 2, False) == ([(r.status, r.code) for r in replies], b"live-" in buckets.body)


def _bad_chunk(raw: Raw, path: str) -> Reply:
    signed = streaming(raw, path, STREAMING)
    return raw.put_chunked(signed.chunks(PIECES).replace(b"attack", b"ATTACK", 1), signed)


def _bad_last_chunk(raw: Raw, path: str) -> Reply:
    signed = streaming(raw, path, STREAMING)
    wire = signed.chunks(PIECES)
    digit = wire.rindex(b"chunk-signature=") + 20
    return raw.put_chunked(wire[:digit] + bytes([wire[digit] ^ 1]) + wire[digit + 1 :], signed)


def _swapped_chunks(raw: Raw, path: str) -> Reply:
    signed = streaming(raw, path, STREAMING, 20)
    first, one = signed.chunk(signed.signature, b"0123456789")
    second, two = signed.chunk(first, b"abcdefghij")
    return raw.put_chunked(two + one + signed.chunk(second, b"")[1], signed)


def _bad_trailer_signature(raw: Raw, path: str) -> Reply:
    signed = streaming(raw, path, STREAMING_TRAILER, x_amz_trailer="x-amz-checksum-crc32")
    wire = signed.chunks_and_trailer(PIECES, "x-amz-checksum-crc32", crc32(BODY))
    return raw.put_chunked(wire[:-5] + flip(wire[-5:-4].decode()).encode() + wire[-4:], signed)


def _unsigned_in_signed(raw: Raw, path: str) -> Reply:
    return raw.put_chunked(unsigned_chunks(PIECES, {}), streaming(raw, path, STREAMING))


def _no_last_chunk(raw: Raw, path: str) -> Reply:
    signed = streaming(raw, path, STREAMING)
    wire = signed.chunks(PIECES)
    return raw.put_chunked(wire[: wire.rindex(b"0;chunk-signature=")], signed)


@pytest.mark.parametrize(
    ("attack", "codes"),
    [
        (_bad_chunk, {"SignatureDoesNotMatch"}),
        (_bad_last_chunk, {"SignatureDoesNotMatch", "IncompleteBody", "InvalidChunkSizeError"}),
        (_swapped_chunks, {"SignatureDoesNotMatch"}),
        (_bad_trailer_signature, {"SignatureDoesNotMatch"}),
        (_unsigned_in_signed, {"SignatureDoesNotMatch", "InvalidRequest", "IncompleteBody", "MalformedTrailerError"}),
        (_no_last_chunk, {"IncompleteBody"}),
    ],
)
def test_bad_chunk_signatures(raw: Raw, bucket: str, attack: Callable[[Raw, str], Reply], codes: set[str]) -> None:
    """A changed, moved, unsigned or missing chunk is refused, and nothing is stored."""
    reply = attack(raw, f"/{bucket}/k")
    assert (True, True, False) == (400 <= reply.status < 500, reply.code in codes, raw.exists(f"/{bucket}/k"))


@pytest.mark.parametrize("length", [len(BODY) - 1, len(BODY) + 1, 0, 10**15])
@pytest.mark.parametrize("mode", [STREAMING, UNSIGNED_TRAILER])
def test_lying_decoded_length(raw: Raw, bucket: str, mode: str, length: int) -> None:
    """What x-amz-decoded-content-length says is what the chunks must hold."""
    path = f"/{bucket}/k"
    signed = streaming(raw, path, mode, length)
    wire = signed.chunks(PIECES) if mode == STREAMING else unsigned_chunks(PIECES, {})
    reply = raw.put_chunked(wire, signed)
    assert (400, False) == (reply.status, raw.exists(path))


@pytest.mark.parametrize("size", [b"fffffffffffffff", b"-5", b"1g", b"0x10", b"", b"+5", b"0_5", b"1" * 5000])
def test_broken_chunk_sizes(raw: Raw, bucket: str, size: bytes) -> None:
    """A chunk size is a bounded hex number and nothing else."""
    path = f"/{bucket}/k"
    signed = streaming(raw, path, UNSIGNED_TRAILER, 5)
    reply = raw.send(signed.head + b"content-length: %d\r\n\r\n%b\r\nabcde\r\n0\r\n\r\n" % (len(size) + 14, size))
    assert (400, False) == (reply.status, raw.exists(path))


@pytest.mark.parametrize("lines", [b"x-amz-checksum-crc32:AAAAAA==\r\n", b"x" * 100_000 + b"\r\n", b"a:b\r\n" * 20_000])
def test_bad_trailers(raw: Raw, bucket: str, lines: bytes) -> None:
    """A wrong checksum in the trailer, and trailers without end, are refused."""
    path = f"/{bucket}/k"
    signed = streaming(raw, path, UNSIGNED_TRAILER, x_amz_trailer="x-amz-checksum-crc32")
    wire = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(BODY), BODY, lines)
    reply = raw.put_chunked(wire, signed)
    assert (400, False) == (reply.status, raw.exists(path))


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content_md5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}, "BadDigest"),
        ({"content_md5": "!!!"}, "InvalidDigest"),
        ({"x_amz_checksum_crc32": crc32(b"other")}, "BadDigest"),
        ({"x_amz_checksum_crc32c": "AAAAAA=="}, "BadDigest"),
        ({"x_amz_checksum_crc64nvme": "AAAAAAAAAAA="}, "BadDigest"),
        ({"x_amz_checksum_sha1": base64.b64encode(bytes(20)).decode()}, "BadDigest"),
        ({"x_amz_checksum_sha256": base64.b64encode(bytes(32)).decode()}, "BadDigest"),
        ({"x_amz_checksum_sha256": "AAAA"}, "BadDigest"),
        ({"x_amz_content_sha256": hashlib.sha256(b"other").hexdigest()}, "XAmzContentSHA256Mismatch"),
        ({"x_amz_content_sha256": "no digest"}, "InvalidArgument"),
    ],
)
def test_wrong_digests(raw: Raw, bucket: str, headers: dict[str, str], code: str) -> None:
    """Every kind of digest is compared with the body before anything becomes visible."""
    reply = raw.put(f"/{bucket}/k", BODY, **headers)
    assert (400, code, False) == (reply.status, reply.code, raw.exists(f"/{bucket}/k"))


def test_overwrite_that_fails_changes_nothing(raw: Raw, bucket: str, s3: Any) -> None:
    """The object that was there stays, bit for bit, when its replacement is refused."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    raw.put(f"/{bucket}/k", BODY, content_md5=base64.b64encode(bytes(16)).decode())
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"before"


def test_truncated_body(raw: Raw, bucket: str) -> None:
    """A client that dies within its body has stored nothing."""
    head = raw.sign("PUT", f"/{bucket}/k").head
    reply = raw.send(head + b"content-length: %d\r\n\r\n%b" % (len(BODY) + 1, BODY), finish=True)
    assert (True, False) == (reply.status in {0, 400}, raw.exists(f"/{bucket}/k"))


def test_overlong_body_is_not_the_next_request(raw: Raw, bucket: str) -> None:
    """Bytes behind Content-Length are a request of their own, which has to be signed like any other."""
    smuggled = b"DELETE /%b/victim HTTP/1.1\r\nhost: x\r\n\r\n" % bucket.encode()
    raw.put(f"/{bucket}/victim", b"here")
    reply = raw.send(raw.sign("PUT", f"/{bucket}/k").head + b"content-length: 1\r\n\r\nx" + smuggled)
    assert (200, True) == (reply.status, raw.exists(f"/{bucket}/victim"))


@pytest.mark.parametrize(
    "framing",
    [
        b"content-length: 5\r\ncontent-length: 6\r\n",
        b"content-length: -1\r\n",
        b"content-length: 5, 5\r\n",
        b"content-length: 1e3\r\n",
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: gzip\r\n",
    ],
)
def test_ambiguous_framing(raw: Raw, bucket: str, framing: bytes) -> None:
    """A length that two readers could understand differently is refused."""
    reply = raw.send(raw.sign("PUT", f"/{bucket}/k").head + framing + b"\r\nabcde", finish=True)
    assert (True, False) == (400 <= reply.status <= 501, raw.exists(f"/{bucket}/k"))


@pytest.mark.parametrize("document", [BOMB, EXTERNAL, "<Delete>" * 100_000, "<Delete><Object></Delete>", "\x00", ""])
def test_hostile_xml(raw: Raw, bucket: str, document: str) -> None:
    """Entities, depth and garbage are MalformedXML, quickly."""
    body = document.encode()
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    signed = raw.sign("POST", f"/{bucket}", query={"delete": ""}, headers={"content-md5": digest})
    started = time.monotonic()
    reply = raw.send(signed.head + b"content-length: %d\r\n\r\n%b" % (len(body), body))
    quick = time.monotonic() - started < 10
    assert (400, True, True) == (reply.status, reply.code in {"MalformedXML", "MissingRequestBodyError"}, quick)


@pytest.mark.parametrize(
    "extra",
    [
        b"".join(b"x-junk-%d: 1\r\n" % number for number in range(100_000)),
        b"x-junk: " + b"a" * 200_000 + b"\r\n",
        b"no colon here\r\n",
        b"x-null: a\x00b\r\n",
    ],
    ids=["100k headers", "long header", "no colon", "null byte"],
)
def test_hostile_headers(raw: Raw, bucket: str, extra: bytes) -> None:
    """Header floods and broken header lines end in a 4xx or a closed connection."""
    reply = raw.send(raw.sign("PUT", f"/{bucket}/k").head + extra + b"content-length: 1\r\n\r\nx")
    assert (True, False) == (reply.status == 0 or 400 <= reply.status < 500, raw.exists(f"/{bucket}/k"))


def test_long_request_line(raw: Raw) -> None:
    """A request line without end is refused."""
    reply = raw.send(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n")
    assert 400 <= reply.status < 500


@pytest.mark.parametrize(
    "key", ["..", "../../etc/passwd", "a/../b", "a//b", "/", "//", "./x", "a/./b", "%00", "a%0Ab", "~"]
)
def test_path_tricks(raw: Raw, bucket: str, s3: Any, gateway: Gateway, key: str) -> None:
    """A key is a name, not a path: it is stored as it is or refused, and no file appears elsewhere."""
    reply = raw.put(f"/{bucket}/{key}", b"trick")
    listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    strange = [path for path in gateway.folder.iterdir() if path.name not in {"data", "log", "credentials"}]
    wanted = key.replace("%00", "\0").replace("%0A", "\n")
    assert ([], True) == (strange, listed == [wanted] if reply.status == 200 else listed == [])


def test_oversized_key(raw: Raw, bucket: str) -> None:
    """1024 bytes of UTF-8 are a key, one more is not."""
    fits, long = raw.put(f"/{bucket}/{'k' * 1024}", b""), raw.put(f"/{bucket}/{'k' * 1025}", b"")
    assert (200, 400, "KeyTooLongError") == (fits.status, long.status, long.code)


def test_bucket_of_nobody(raw: Raw) -> None:
    """Names that could mean a file are not buckets."""
    replies = [raw.put(f"/{name}", b"") for name in ("..", ".", "%2e%2e", "a", "UPPER", "x" * 64, "192.0.2.1")]
    assert [True] * 7 == [400 <= reply.status < 500 for reply in replies]


def test_errors_say_nothing_of_the_inside(raw: Raw, bucket: str) -> None:
    """Error documents carry no path, host, traceback or secret."""
    replies = [
        raw.put(f"/{bucket}/k", BODY, content_md5="!!!"),
        raw.send(b"BREW / HTTP/1.1\r\n\r\n"),
        raw.put("/nobody-x", b""),
    ]
    texts = b"".join(reply.body for reply in replies).lower()
    inside = [
        word for word in (b"traceback", b"/home", b"/tmp", b".py", MAIN.secret_key.lower().encode()) if word in texts
    ]
    assert [] == inside
