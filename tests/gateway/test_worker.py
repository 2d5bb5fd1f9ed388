"""Tests of s4gw.gateway.worker against real worker processes, and of gunicorn's own as the fallback."""

from __future__ import annotations

import http.client
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException

from s4gw.gateway import parsing, worker
from s4gw.s3.errors import BadRequest, InvalidURI, RequestHeaderSectionTooLarge, S3Error

OURS = "s4gw.gateway.worker.S4Worker"
MIB = 1024 * 1024


class Server:
    """One gunicorn with one worker of two threads."""

    def __init__(self, worker_class: str, *flags: str) -> None:
        command = [sys.executable, "-m", "gunicorn", "tests.gateway.echo:app", "--no-control-socket"]
        command += ["--bind", "127.0.0.1:0", "--worker-class", worker_class, "--threads", "2", "--keep-alive", "75"]
        command += ["--header-map", "dangerous", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        self.log: list[str] = []
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(self.process.stderr)

    def connect(self) -> socket.socket:
        """A raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def client(self) -> http.client.HTTPConnection:
        """A client that keeps its connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    server = Server(OURS)
    yield server
    server.stop()


@pytest.fixture(scope="module", params=[OURS, "gthread"])
def either(request: pytest.FixtureRequest, ours: Server) -> Iterator[Server]:
    if request.param == OURS:
        yield ours
        return
    server = Server(request.param)
    yield server
    server.stop()


def exchange(server: Server, raw: bytes) -> bytes:
    """Send *raw* and read until the server closes."""
    with closing(server.connect()) as sock:
        sock.sendall(raw)
        answer = b""
        while data := sock.recv(65536):
            answer += data
    return answer


def test_nothing_of_gunicorn_is_missing() -> None:
    """The release that is pinned has all that the worker stands on, so that ours is the one in use."""
    assert ([], OURS) == (worker.internals_missing(), worker.worker_class())


def test_without_the_internals_gunicorns_own_worker_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade that takes something away makes the gateway slower, not broken."""
    monkeypatch.delattr("gunicorn.http.parser.Parser.finish_body")
    assert (["Parser.finish_body"], "gthread") == (worker.internals_missing(), worker.worker_class())


@pytest.mark.parametrize("size", [0, 1, 70_000, 3 * MIB])
def test_bodies_come_back_on_one_connection(either: Server, size: int) -> None:
    """Whatever the size, the next request of the connection finds its start."""
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    client = either.client()
    answers = []
    for _ in range(3):
        client.request("PUT", "/echo", body=data)
        answers.append(client.getresponse().read())
    client.close()
    assert [data] * 3 == answers


def test_chunked_bodies_come_back_on_one_connection(either: Server) -> None:
    """Transfer-Encoding is taken off, and the next request finds its start."""
    client = either.client()
    answers = []
    for _ in range(3):
        client.request("PUT", "/echo", body=iter([b"a" * 100_000, b"b"]), encode_chunked=True)
        answers.append(client.getresponse().read())
    client.close()
    assert [b"a" * 100_000 + b"b"] * 3 == answers


def test_the_target_arrives_as_sent(either: Server) -> None:
    """Slashes, dots and escapes in keys are the client's."""
    target = "/target//a/../b%2F%20c//?x=%2B&y"
    answer = exchange(either, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.endswith(b"/target//a/../b%2F%20c// x=%2B&y")


def test_requests_may_be_sent_ahead(ours: Server) -> None:
    """Pipelined requests are answered in order."""
    request = b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n%b"
    last = b"GET /target HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = exchange(ours, request % b"one" + request % b"two" + last)
    assert ([b"one", b"two"], True) == (re.findall(rb"one|two", answer), answer.endswith(b"/target "))


def test_header_names_with_underscores_survive(ours: Server) -> None:
    """`a_b` and `a-b` are two metadata names, and both are signed."""
    sent = b"x-amz-meta-a_b: 1\r\nx-amz-meta-a-b: 2\r\nX-a: \xe9\r\n"
    raw = b"GET /headers HTTP/1.1\r\nHost: x\r\n%bConnection: close\r\n\r\n" % sent
    answer = exchange(ours, raw)
    assert answer.endswith(b"x-amz-meta-a_b=1\nx-amz-meta-a-b=2\nx-a=\xe9")


def test_a_refused_upload_that_expects_to_continue_gets_its_error_at_once(ours: Server) -> None:
    """The error comes instead of 100 Continue, and the connection is closed: the body was never asked for."""
    raw = b"PUT /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\nExpect: 100-continue\r\n\r\n"
    with closing(ours.connect()) as sock:
        sock.sendall(raw)
        answer = b""
        while data := sock.recv(4096):
            answer += data
    head = answer.partition(b"\r\n\r\n")[0]
    assert (True, True, False) == (
        answer.startswith(b"HTTP/1.1 403 "),
        b"Connection: close" in head,
        b"100 Continue" in answer,
    )


def test_an_accepted_upload_is_told_to_continue(ours: Server) -> None:
    """100 Continue comes before the body is sent."""
    raw = b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    with closing(ours.connect()) as sock:
        sock.sendall(raw)
        interim = sock.recv(4096)
        sock.sendall(b"hello")
        answer = b""
        while data := sock.recv(4096):
            answer += data
    assert (b"HTTP/1.1 100 Continue\r\n\r\n", True) == (interim, answer.endswith(b"\r\n\r\nhello"))


@pytest.mark.parametrize("size", [1000, 200_000, 8 * MIB])
def test_a_refused_upload_reads_its_error_whatever_its_size(ours: Server, size: int) -> None:
    """A client that sends its body first finds the error behind it, never a reset connection."""
    for _ in range(5):
        client = ours.client()
        client.request("PUT", "/refuse", body=bytes(size))
        answer = client.getresponse()
        assert (403, b"refused") == (answer.status, answer.read())
        client.close()


def test_a_small_unread_body_does_not_cost_the_connection(ours: Server) -> None:
    """Up to 64 KiB it is cheaper to read it than to connect again."""
    client = ours.client()
    client.request("PUT", "/refuse", body=bytes(1000))
    client.getresponse().read()
    first = client.sock
    client.request("GET", "/target")
    client.getresponse().read()
    assert first is client.sock
    client.close()


def test_answers_stream(ours: Server) -> None:
    """Blocks follow each other, and HEAD gets the header alone."""
    client = ours.client()
    client.request("GET", "/stream")
    whole = client.getresponse().read()
    client.request("HEAD", "/stream")
    head = client.getresponse()
    head.read()
    client.request("GET", "/chunked")
    chunked = client.getresponse().read()
    client.close()
    assert (16 * MIB, str(16 * MIB), b"onetwo") == (len(whole), head.getheader("Content-Length"), chunked)


def test_an_answer_that_breaks_off_is_cut(ours: Server) -> None:
    """What has been sent cannot be taken for the whole."""
    client = ours.client()
    client.request("GET", "/broken")
    with pytest.raises(http.client.IncompleteRead):
        client.getresponse().read()
    client.close()


def test_a_fault_of_the_application_is_an_internal_error(ours: Server) -> None:
    """Should the application let an exception out, the client still gets S3's document."""
    answer = exchange(ours, b"GET /fault HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (True, True) == (answer.startswith(b"HTTP/1.1 500 "), b"<Code>InternalError</Code>" in answer)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"BadRequest"),
        (b"NONSENSE\r\n\r\n", b"BadRequest"),
        (b"GET /\x00 HTTP/1.1\r\n\r\n", b"BadRequest"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"BadRequest"),
        (b"GET / HTTP/1.1\r\n\r\n", b"BadRequest"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\n\r\n", b"BadRequest"),
        (b"\r\nGET / HTTP/1.1\nHost: x\r\n\r\n", b"BadRequest"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", b"BadRequest"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n", b"BadRequest"),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"BadRequest"),
        (b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"BadRequest"),
        (b"GET /%b HTTP/1.1\r\n\r\n" % (b"a" * 9000), b"InvalidURI"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"RequestHeaderSectionTooLarge"),
        (b"GET / HTTP/1.1\r\na: %b\r\n\r\n" % (b"b" * 100_000), b"RequestHeaderSectionTooLarge"),
    ],
)
def test_what_is_not_http_gets_an_s3_error(ours: Server, raw: bytes, code: bytes) -> None:
    """Below the application, too, errors are S3's, and the worker lives on."""
    answer = exchange(ours, raw)
    assert (True, True) == (answer.startswith(b"HTTP/1.1 4"), b"<Code>%b</Code>" % code in answer)


def test_a_hundred_thousand_headers_are_refused(ours: Server) -> None:
    """The parser gives up long before it has read them all; the client still reads S3's document."""
    answer = exchange(ours, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100_000 + b"\r\n")
    assert (True, True) == (answer.startswith(b"HTTP/1.1 400 "), b"<Error><Code>" in answer)


def test_more_connections_than_threads_all_get_served(ours: Server) -> None:
    """A busy connection lets go of its thread when others wait: ten clients on two threads, none starves."""
    counts = [0] * 10

    def work(number: int) -> None:
        client = ours.client()
        for _ in range(50):
            client.request("GET", "/target")
            client.getresponse().read()
            counts[number] += 1
        client.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [50] * 10 == counts


def test_idle_connections_hold_no_thread(ours: Server) -> None:
    """Connections that say nothing, before or after a request, do not keep others from being served."""
    idle = [ours.connect() for _ in range(5)]
    for sock in idle[:3]:
        sock.sendall(b"GET /target HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.recv(4096)
    client = ours.client()
    client.request("GET", "/target")
    status = client.getresponse().status
    client.close()
    for sock in idle:
        sock.close()
    assert status == 200


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LimitRequestLine(1, 2), InvalidURI),
        (LimitRequestHeaders("x"), RequestHeaderSectionTooLarge),
        (ParseException(), BadRequest),
    ],
)
def test_every_refusal_of_the_parser_has_an_s3_error(error: ParseException, expected: type[S3Error]) -> None:
    """The nearest row of the table counts, and the last row takes all."""
    assert expected is type(parsing.refusal(error))


HALVES = {
    "half a header": b"GET /target HTTP/1.1\r\nHost: x\r\n",
    "half a body": b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc",
    "a refused body that does not come": b"PUT /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\nabc",
    "a small one": b"PUT /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\nabc",
    "an answer that nobody reads": b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("sent", HALVES.values(), ids=HALVES.keys())
def test_clients_that_stop_half_way_do_not_keep_others_from_being_served(ours: Server, sent: bytes) -> None:
    """Ten of them on two threads: without what this is about, others waited for 5 to 100 seconds."""
    slow = [ours.connect() for _ in range(10)]
    for sock in slow:
        sock.sendall(sent)
    client = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=4)
    for _ in range(3):
        client.request("GET", "/target")
        assert client.getresponse().read() == b"/target "
    client.close()
    for sock in slow:
        sock.close()


def test_idle_connections_make_room_for_others() -> None:
    """A worker that has all the connections it may have closes those that are idle, and those stuck in a header."""
    server = Server(OURS, "--worker-connections", "12")
    idle = [server.connect() for _ in range(24)]
    for sock in idle[::2]:
        sock.sendall(b"GET /target HTTP/1.1\r\n")
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
    client.request("GET", "/target")
    answer = client.getresponse().read()
    client.close()
    for sock in idle:
        sock.close()
    server.stop()
    assert answer == b"/target "


def test_a_worker_that_runs_out_of_descriptors_lives_on() -> None:
    """It closes idle connections instead of dying with all that it serves."""
    server = Server(OURS)
    request = b"GET /pid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    pid = exchange(server, request).rpartition(b"\n")[2]
    resource.prlimit(int(pid), resource.RLIMIT_NOFILE, (40, 40))
    idle = [server.connect() for _ in range(60)]
    answer = exchange(server, request)
    for sock in idle:
        sock.close()
    server.stop()
    assert pid == answer.rpartition(b"\n")[2]


def test_a_header_may_come_in_pieces(ours: Server) -> None:
    """Each piece finds the ones before it, on a new connection and on one that was used."""
    request = b"GET /headers HTTP/1.1\r\nHost: x\r\nx-one: 1\r\nx-two: 2\r\n\r\n"
    bodies = []
    with closing(ours.connect()) as sock:
        for _ in range(2):
            for start in range(0, len(request), 9):
                sock.sendall(request[start : start + 9])
                time.sleep(parsing.HEADER_WAIT_S * 2)
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            bodies.append(answer.read())
    assert [b"x-one=1\nx-two=2"] * 2 == bodies
