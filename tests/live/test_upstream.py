"""A gateway in front of a second one of ours: what clients, operators and the upstream see."""

from __future__ import annotations

import contextlib
import io
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from s4gw.backends import remote
from s4gw.s3.errors import S3Error
from tests.live import upstreams
from tests.live.fault_proxy import ANY, Fault, FaultProxy, proxied
from tests.live.gateway import ALT, MAIN, Gateway, wait_until
from tests.live.upstreams import Upstream

LOG_LINES: Final = b"GET /api/v1/users/123 HTTP/1.1 200 4521\n" * 50_000
MIB: Final = 1024**2
PARTED: Final = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, proxy: FaultProxy) -> Iterator[Gateway]:
    """The gateway, with one worker, so that its caches and its breaker are one."""
    through = Upstream("proxy", proxy.url)
    flags = (
        "--workers",
        "1",
        "--log-format",
        "json",
        "--upstream-connect-timeout",
        "2",
        "--upstream-read-timeout",
        "5",
    )
    with upstreams.in_front(tmp_path_factory.mktemp("front") / "gw", through, *flags) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def s3(front: Gateway) -> Any:
    """boto3 through the gateway, as the owner."""
    return front.client()


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    """A new bucket of the owner's, made through the gateway."""
    name = f"b-{abs(hash(request.node.name)) % 10**8}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture(autouse=True)
def _healthy(proxy: FaultProxy) -> Iterator[None]:
    proxy.rules.clear()
    proxy.forget()
    yield
    proxy.down = False
    proxy.delay_s = 0.0


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    response: Any = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def lines(front: Gateway, event: str) -> list[dict[str, Any]]:
    """Log lines of one kind."""
    parsed = []
    for line in front.log.splitlines():
        with contextlib.suppress(ValueError):
            parsed.append(json.loads(line))
    return [line for line in parsed if line["event"] == event]


def test_originals_in_fewer_bytes_upstream(s3: Any, store: Upstream, bucket: str) -> None:
    """What goes in comes out, one object is one object, and the upstream holds less."""
    bodies = {"log": LOG_LINES, "random": os.urandom(3 * MIB), "small": b"hello", "empty": b""}
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"x": "y"})
    s3.upload_fileobj(io.BytesIO(LOG_LINES * 8), bucket, "multi", Config=PARTED)
    bodies["multi"] = LOG_LINES * 8
    got = {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body for key, body in bodies.items()}
    listed = {one["Key"]: one["Size"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    stored = {one["Key"]: one["Size"] for one in store.client().list_objects_v2(Bucket=bucket)["Contents"]}
    assert dict.fromkeys(bodies, True) == got
    assert {key: len(body) for key, body in bodies.items()} == listed
    assert ({"log", "random", "small", "empty", "multi"}, True, True) == (
        {key for key in stored if not key.startswith(".s4gw/")},
        stored["log"] * 100 < len(LOG_LINES),
        stored["multi"] * 100 < len(LOG_LINES) * 8,
    )


def test_only_the_owner_is_let_in(front: Gateway, s3: Any, store: Upstream, bucket: str) -> None:
    """Not by a bucket policy of the upstream, nor by its ACL; others see no bucket and make none."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret", ACL="public-read")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    other = front.client(ALT)
    refused = []
    asked: tuple[tuple[Any, dict[str, str]], ...] = (
        (other.get_object, {"Bucket": bucket, "Key": "k"}),
        (other.list_objects_v2, {"Bucket": bucket}),
        (other.get_bucket_policy, {"Bucket": bucket}),
        (other.create_bucket, {"Bucket": "b-of-another"}),
    )
    for ask, params in asked:
        with pytest.raises(ClientError) as caught:
            ask(**params)
        refused.append(code_of(caught))
    anonymous = front.get(f"/{bucket}/k")[0]
    names = [one["Name"] for one in store.client().list_buckets()["Buckets"]]
    assert ([(403, "AccessDenied")] * 4, 403, [], False) == (
        refused,
        anonymous,
        other.list_buckets()["Buckets"],
        "b-of-another" in names,
    )


def test_configuration_is_the_upstreams(s3: Any, store: Upstream, bucket: str) -> None:
    """What is set through the gateway is in force there, and what is set there shows here."""
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    direct = store.client()
    tags = direct.get_bucket_tagging(Bucket=bucket)["TagSet"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (b"one", b"two")]
    old = s3.get_object(Bucket=bucket, Key="k", VersionId=versions[0])["Body"].read()
    direct.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "c", "Value": "d"}]})
    assert ([{"Key": "a", "Value": "b"}], b"one", "Enabled", [{"Key": "c", "Value": "d"}]) == (
        tags,
        old,
        s3.get_bucket_versioning(Bucket=bucket)["Status"],
        s3.get_bucket_tagging(Bucket=bucket)["TagSet"],
    )


def test_browsers_are_answered_by_the_upstreams_rules(front: Gateway, s3: Any, store: Upstream, bucket: str) -> None:
    """They talk to the gateway, so it has to know the rules; set through it or past it."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})

    def allowed() -> tuple[str | None, int]:
        asking = {"Origin": "https://a.example"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=asking), timeout=30) as answer:
            origin = answer.headers.get("Access-Control-Allow-Origin")
        before = urllib.request.Request(
            url, method="OPTIONS", headers=asking | {"Access-Control-Request-Method": "GET"}
        )
        try:
            with urllib.request.urlopen(before, timeout=30) as answer:
                return origin, answer.status
        except urllib.error.HTTPError as error:
            return origin, error.code

    without = allowed()
    rules = {"CORSRules": [{"AllowedOrigins": ["https://a.example"], "AllowedMethods": ["GET"]}]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=rules)
    there = store.client().get_bucket_cors(Bucket=bucket)["CORSRules"]
    assert ((None, 403), rules["CORSRules"], ("https://a.example", 200)) == (without, there, allowed())


def test_reads_cost_what_they_must(s3: Any, proxy: FaultProxy, bucket: str) -> None:
    """A ranged GET: two requests to the upstream while nothing is known of the object, then one."""
    s3.put_object(Bucket=bucket, Key="big", Body=os.urandom(2 * MIB) + LOG_LINES * 4)
    s3.upload_fileobj(io.BytesIO(LOG_LINES * 12), bucket, "multi", Config=PARTED)
    counts = []
    for key in ("big", "multi"):
        for _ in range(2):
            proxy.forget()
            s3.get_object(Bucket=bucket, Key=key, Range="bytes=2000000-2065535")["Body"].read()
            counts.append(sum(proxy.count().values()))
    assert ([2, 1], [1, 1]) == (counts[:2], counts[2:])  # the second is stored in less than one look


def test_the_log_ties_both_sides_together(front: Gateway, s3: Any, store: Upstream, bucket: str) -> None:
    """The request line names the ids that the upstream gave; clients see neither these nor its host."""
    answer = s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    mine = answer["ResponseMetadata"]["RequestId"]
    assert wait_until(lambda: any(line["request_id"] == mine for line in lines(front, "request")))
    (line,) = [line for line in lines(front, "request") if line["request_id"] == mine]
    theirs = line["upstream_ids"].split(",")
    headers = str(answer["ResponseMetadata"]["HTTPHeaders"])
    port = store.url.rpartition(":")[2]
    assert (line["upstream_requests"], True, []) == (
        len(theirs),
        all(theirs),
        [text for text in (*theirs, port) if text in headers],
    )


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.ERROR, Fault.UNAVAILABLE])
def test_a_fault_that_passes_is_not_seen(s3: Any, proxy: FaultProxy, bucket: str, fault: Fault) -> None:
    """Requests that fail once are sent again."""
    for operation in ("PutObject", "HeadObject", "GetObject", "DeleteObject", "ListObjectsV2"):
        proxy.fail(operation, fault)
    s3.put_object(Bucket=bucket, Key="k", Body=LOG_LINES)
    body = s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    size = s3.head_object(Bucket=bucket, Key="k")["ContentLength"]
    listed = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    s3.delete_object(Bucket=bucket, Key="k")
    left = [rule.operation for rule in proxy.rules if rule.times and rule.operation != "HeadObject"]
    assert (LOG_LINES, len(LOG_LINES), ["k"], []) == (body, size, listed, left)


def test_a_cut_body_never_passes_for_the_whole(s3: Any, proxy: FaultProxy, bucket: str) -> None:
    """It is read again; the bytes are right."""
    data = os.urandom(5 * MIB)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    proxy.fail("GetObject", Fault.TRUNCATE, times=2)
    assert data == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_an_answer_lost_after_success_is_a_success(s3: Any, proxy: FaultProxy, bucket: str) -> None:
    """Also of a conditional write, whose repetition the upstream refuses."""
    proxy.fail("PutObject", Fault.LOST)
    s3.put_object(Bucket=bucket, Key="k", Body=b"once", IfNoneMatch="*")
    assert b"once" == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_down_it_fails_fast_and_recovers(front: Gateway, s3: Any, proxy: FaultProxy, bucket: str) -> None:
    """503 with Retry-After at once, /ready says so, and nobody has to help it back."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    proxy.down = True
    proxy.fail(ANY, Fault.RESET, times=10_000)
    codes = []
    for _ in range(8):
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket=bucket, Key="k")
        codes.append(code_of(caught))
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    not_ready = front.get("/ready")[0]
    proxy.forget()
    with pytest.raises(ClientError):
        s3.get_object(Bucket=bucket, Key="k")
    refused_open = front.metric("s4_upstream_breaker_open")
    asked = sum(proxy.count().values())
    proxy.rules.clear()
    proxy.down = False
    back = wait_until(lambda: front.get("/ready")[0] == 200, 60)
    assert ([(503, "ServiceUnavailable")] * 8, True, 503, 1.0, True) == (
        codes,
        int(headers["retry-after"]) >= 1,
        not_ready,
        refused_open,
        asked <= 3,  # at most one probe
    )
    assert (True, b"x") == (back, s3.get_object(Bucket=bucket, Key="k")["Body"].read())


def test_upstream_calls_are_counted(front: Gateway, s3: Any, proxy: FaultProxy, bucket: str) -> None:
    """By the metrics as at the proxy."""
    before = front.metric("s4_upstream_requests_total")
    proxy.forget()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    asked = sum(proxy.count().values())
    assert wait_until(lambda: front.metric("s4_upstream_requests_total") - before == asked)


def test_the_short_way_and_boto3_are_equal(store: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same parameters, same outputs, same errors, whatever the operation."""
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    said = []
    for lean in (True, False):
        made = remote.Upstream(remote.UpstreamSettings(endpoint_url=store.url, addressing="path", lean=lean))
        with contextlib.suppress(S3Error):
            made.call("CreateBucket", Bucket="lean-or-not")
        said.append(_conversation(made))
        made.close()
    assert said[0] == said[1]


def _conversation(upstream: remote.Upstream) -> list[Any]:
    """What an upstream answers to every kind of hot request."""
    said: list[Any] = []

    def ask(operation: str, **params: Any) -> dict[str, Any]:
        try:
            result = upstream.call(operation, Bucket="lean-or-not", **params)
        except S3Error as error:
            said.append((operation, type(error).__name__, error.facts))
            return {}
        result.pop("LastModified", None)
        if "Body" in result:
            result["Body"] = result["Body"].read()
        kept = {name: value for name, value in result.items() if name != "UploadId"}
        said.append((operation, {**kept, "Expires": str(kept["Expires"])[:19]} if "Expires" in kept else kept))
        return result

    system = {"CacheControl": "no-store", "ContentType": "text/plain", "Expires": "Thu, 01 Dec 2033 16:00:00 GMT"}
    key = "a b/é+&?=%2F x"
    ask("PutObject", Key=key, Body=b"0123456789", Metadata={"m": "two  blanks"}, Tagging="a=b&c=d", **system)
    ask("HeadObject", Key=key)
    ask("GetObject", Key=key)
    ask("GetObject", Key=key, Range="bytes=2-4")
    ask("GetObject", Key=key, Range="bytes=99-")
    ask("GetObject", Key=key, IfMatch='"other"')
    ask("GetObject", Key=key, ChecksumMode="ENABLED")
    ask("HeadObject", Key="missing")
    ask("GetObject", Key="missing")
    ask("PutObject", Key=key, Body=b"x", IfNoneMatch="*")
    ask("PutObject", Key="empty", Body=b"", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    ask("PutObject", Key="wrong", Body=b"x", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    ask("GetObject", Key="empty")
    upload_id = ask("CreateMultipartUpload", Key="parts")["UploadId"]
    ask("UploadPart", Key="parts", UploadId=upload_id, PartNumber=1, Body=memoryview(b"part"))
    ask("UploadPart", Key="parts", UploadId="missing", PartNumber=1, Body=b"part")
    ask("AbortMultipartUpload", Key="parts", UploadId=upload_id)
    for name in (key, "empty", "missing"):
        ask("DeleteObject", Key=name)
    return said


def test_the_data_directory_holds_no_objects(front: Gateway, s3: Any, bucket: str) -> None:
    """Credentials, what runs, and the catalogue of sizes, which may go at any time."""
    s3.put_object(Bucket=bucket, Key="k", Body=os.urandom(4 * MIB))
    names = {path.name for path in (front.folder / "data").iterdir()}
    allowed = {"run", "gateway.lock", "credentials", "catalogue.db", "catalogue.db-wal", "catalogue.db-shm"}
    assert set() == names - allowed


def test_a_second_user_by_policy(tmp_path: Path, store: Upstream) -> None:
    """The gateway-wide policy is what lets others in; its conditions see the tags that the upstream keeps."""
    everywhere = {"Effect": "Allow", "Principal": {"AWS": MAIN.name}, "Action": "s3:*", "Resource": "*"}
    shared = {"Principal": {"AWS": ALT.name}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shared/*"}
    tagged = {"Condition": {"StringEquals": {"s3:ExistingObjectTag/for": "one"}}}
    statements = [everywhere, {"Effect": "Allow"} | shared, {"Effect": "Deny"} | shared | tagged]
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": statements}))
    with upstreams.in_front(tmp_path / "gw", store, "--workers", "1", "--policy", str(policy)) as gateway:
        owner, other = gateway.client(), gateway.client(ALT)
        owner.create_bucket(Bucket="shared")
        owner.put_object(Bucket="shared", Key="k", Body=b"for both")
        owner.put_object(Bucket="shared", Key="tagged", Body=b"for one", Tagging="for=one")
        got = other.get_object(Bucket="shared", Key="k")["Body"].read()
        refused = []
        asked: tuple[tuple[Any, dict[str, Any]], ...] = (
            (other.put_object, {"Key": "k", "Body": b"mine"}),
            (other.get_object, {"Key": "tagged"}),
            (other.get_object_acl, {"Key": "k"}),
        )
        for ask, params in asked:
            with pytest.raises(ClientError) as caught:
                ask(Bucket="shared", **params)
            refused.append(code_of(caught))
        owners = owner.get_object(Bucket="shared", Key="tagged")["Body"].read()
        anonymous = gateway.get("/shared/k")[0]
    assert (b"for both", [(403, "AccessDenied")] * 3, b"for one", 403) == (got, refused, owners, anonymous)


def test_it_starts_while_the_upstream_is_down(tmp_path: Path, store: Upstream) -> None:
    """It is alive, not ready, and becomes so by itself."""
    with proxied(store.url) as between:
        between.down = True
        through = Upstream("proxy", between.url)
        with upstreams.in_front(tmp_path / "gw", through, "--workers", "1", probe="/health") as gateway:
            down = (gateway.get("/health")[0], gateway.get("/ready")[0])
            between.down = False
            ready = wait_until(lambda: gateway.get("/ready")[0] == 200, 60)
    assert ((200, 503), True) == (down, ready)
