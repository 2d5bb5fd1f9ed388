"""The canonical request of Signature Version 4, built from what the client sent.

S3 differs from other services: the path is signed as sent, without collapsing ``//`` or ``..`` and without encoding
it a second time. Clients disagree on which of the harmless characters they encode on the wire and in the signature,
so there is the request as sent and, where that differs, as S3 would encode the same resource (`other_spellings`).
All of them name the same key and the same parameters, so accepting any gives nothing away.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes

from s4gw.auth.model import AuthRequest, SignedHeaders
from s4gw.s3.errors import S3Error

_UNRESERVED = "-_.~"


def header_values(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Canonical value of each header: trimmed, runs of blanks made one, repeated headers joined by commas."""
    values: dict[str, str] = {}
    for name, raw in headers:
        value = raw.strip(" \t")
        if "  " in value or "\t" in value:
            value = _squeeze(value)
        if name in values:
            values[name] += "," + value
        else:
            values[name] = value
    return values


def canonical_request(
    request: AuthRequest, values: Mapping[str, str], signed: SignedHeaders, payload_hash: str, *, skip: str = ""
) -> bytes:
    """The canonical request, path and query as sent.

    Args:
        request: The request.
        values: Its headers, from `header_values`.
        signed: Names of the signed headers.
        payload_hash: Last line of the canonical request.
        skip: Query parameter that is no part of what is signed (``X-Amz-Signature``).
    """
    query = request.query
    if query:
        query = _sorted_query(query, skip)
    return _encode(f"{request.method}\n{request.path}\n{query}{_tail(values, signed, payload_hash)}")


def other_spellings(
    request: AuthRequest, values: Mapping[str, str], signed: SignedHeaders, payload_hash: str, *, skip: str = ""
) -> Iterator[bytes]:
    """Canonical requests of the same resource with path or query encoded as S3 does; arguments as above."""
    path, query = request.path, _sorted_query(request.query, skip)
    tail = _tail(values, signed, payload_hash)
    for other_path in dict.fromkeys((path, _respell(path, "/"))):
        for other_query in dict.fromkeys((query, _respell_query(request.query, skip))):
            if (other_path, other_query) != (path, query):
                yield _encode(f"{request.method}\n{other_path}\n{other_query}{tail}")


def _tail(values: Mapping[str, str], signed: SignedHeaders, payload_hash: str) -> str:
    """Everything after the query."""
    try:
        lines = signed.lines % signed.pick(values)
    except KeyError:
        # A header that is listed and not sent counts as empty, so only a client that signed it empty gets through.
        lines = "".join([f"{name}:{values.get(name, '')}\n" for name in signed.names])
    return f"\n{lines}\n{signed.text}\n{payload_hash}"


def query_pairs(query: str) -> Iterator[tuple[str, str]]:
    """(name, value) of each parameter, still encoded, in the order sent."""
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            yield name, value


def once_each(query: str, wanted: Collection[str], refusal: type[S3Error]) -> dict[str, str]:
    """The *wanted* parameters of *query*, decoded. Raises: *refusal*, when one is given twice."""
    found: dict[str, str] = {}
    for name, value in query_pairs(query):
        if name in wanted:
            if name in found:
                raise refusal(f"{name} must be given once.")
            found[name] = unquote(value, errors="surrogateescape")
    return found


def _sorted_query(query: str, skip: str) -> str:
    """Canonical query string without re-encoding anything."""
    if not query:
        return ""
    return "&".join(f"{name}={value}" for name, value in sorted(query_pairs(query)) if name != skip)


def _respell_query(query: str, skip: str) -> str:
    """Canonical query string with every name and value encoded the way S3 does."""
    if "+" in query:
        # SECURITY: a plus is a blank to some readers and itself to others; such a query is taken as sent or not at all.
        return _sorted_query(query, skip)
    pairs = ((_respell(name), _respell(value)) for name, value in query_pairs(query) if name != skip)
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _respell(text: str, safe: str = "") -> str:
    """Percent-encode everything but unreserved characters and *safe*, decoding first."""
    return quote_from_bytes(unquote_to_bytes(_encode(text)), safe=safe + _UNRESERVED)


def _squeeze(value: str) -> str:
    """Make each run of blanks one; never touches bytes above 127, which ``str.split()`` would."""
    return " ".join(word for word in value.replace("\t", " ").split(" ") if word)


def _encode(text: str) -> bytes:
    """The bytes behind text that WSGI decoded as Latin-1; callers that pass real text get UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
