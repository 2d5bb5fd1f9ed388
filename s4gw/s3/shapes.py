"""S3's vocabulary as botocore ships it, compiled on first use into small tables.

The service model is read once, at import, from botocore's package data: not through botocore's loader, which would
also look into directories that the environment names. A table is compiled when its operation is first used and is
immutable; nothing here knows XML or HTTP beyond the names of elements and headers.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

MODEL_PATH: Final = "data/s3/2006-03-01/service-2.json.gz"


def _load() -> Mapping[str, Any]:
    packed = (resources.files("botocore") / MODEL_PATH).read_bytes()
    model: Mapping[str, Any] = json.loads(gzip.decompress(packed))
    return model


_MODEL: Final = _load()

OPERATIONS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(_MODEL["operations"])
"""Operation name -> its entry in the service model (``http``, ``input``, ``output`` ...)."""


def required_names(operation: str, location: str) -> list[str]:
    """List the wire names of what a request of *operation* must have at *location* ("querystring", "header")."""
    shape = _MODEL["shapes"][OPERATIONS[operation]["input"]["shape"]]
    members = (shape["members"][name] for name in shape.get("required", ()))
    return [
        m["locationName"].lower() if location == "header" else m["locationName"]
        for m in members
        if m.get("location") == location
    ]


def takes_body(operation: str) -> tuple[bool, bool]:
    """Tell whether a request of *operation* may have a body, and whether that is a stream rather than a document."""
    shape = _MODEL["shapes"][OPERATIONS[operation]["input"]["shape"]]
    payload = shape["members"].get(shape.get("payload"), {})
    has_body = bool(payload) or any("location" not in m for m in shape["members"].values())
    return has_body, bool(payload.get("streaming"))


class Kind(StrEnum):
    """Type of a shape; S3 uses no others. (A str: tables are keyed by it on the hot path.)"""

    STRUCTURE = "structure"
    LIST = "list"
    MAP = "map"
    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    BLOB = "blob"


class Location(Enum):
    """Where a member travels."""

    BODY = ""
    URI = "uri"
    QUERY = "querystring"
    HEADER = "header"
    PREFIX = "headers"
    """All headers whose names start with the member's wire name."""


OPEN_ENUMS: Final = frozenset({"BucketLocationConstraint"})
"""Enumerations of the model that are AWS's, not the protocol's: a gateway's region may have any name."""

_TIMESTAMP_FORMAT: Final[Mapping[Location, str]] = MappingProxyType(
    {Location.HEADER: "rfc822", Location.QUERY: "iso8601", Location.BODY: "iso8601"}
)


@dataclass(frozen=True, slots=True)
class Shape:
    """One type of the model, with the traits of the member that refers to it folded in."""

    name: str
    kind: Kind
    body: tuple[Member, ...] = ()
    """Structure: members that travel in the document, in the model's order; attributes apart."""
    attributes: tuple[Member, ...] = ()
    """Structure: members that travel as XML attributes of the element."""
    elements: Mapping[str, Member] = field(default_factory=dict)
    """Structure: element name -> member of `body`."""
    required: tuple[Member, ...] = ()
    item: Member | None = None
    """List: its items; `Member.wire` is the element name of one."""
    flattened: bool = False
    choices: frozenset[str] = frozenset()
    """String: the values allowed; empty when any is."""
    minimum: int | None = None
    maximum: int | None = None
    timestamp_format: str = ""
    namespace: tuple[str, str] | None = None
    """(prefix, URI) that the element declares."""


@dataclass(frozen=True, slots=True)
class Member:
    """A named place in a structure or list."""

    name: str
    """As boto3 spells it."""
    wire: str
    """Element, attribute, header (as the model spells it) or query parameter."""
    element: str
    """Element under which it stands in its structure; a flattened list's may come from its items."""
    location: Location
    shape: Shape
    streaming: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """The input or output of one operation, sorted by where each member travels."""

    root: str
    """Element name of the document."""
    shape: Shape
    uri: Mapping[str, Member]
    query: Mapping[str, Member]
    headers: Mapping[str, Member]
    """Lower-case header name -> member."""
    header_members: Mapping[str, Member]
    """boto3's name -> the same members."""
    metadata: Member | None
    """The member that takes all ``x-amz-meta-`` headers."""
    payload: Member | None
    """The one member that is the whole body, if the model names one."""
    payload_required: bool
    required: tuple[Member, ...]
    """Members outside the body that a request must have."""


def _member(name: str, reference: Mapping[str, Any], *, item: bool = False) -> Member:
    traits = {**_MODEL["shapes"][reference["shape"]], **reference}
    location = Location(traits.get("location", ""))
    wire = traits.get("locationName", "member" if item else name)
    shape = _shape(reference["shape"], traits, location)
    own_name = shape.flattened and shape.item is not None and shape.item.wire != "member"
    element = shape.item.wire if own_name and shape.item is not None else wire
    return Member(name, wire, element, location, shape, bool(traits.get("streaming")))


def _shape(name: str, traits: Mapping[str, Any], location: Location = Location.BODY) -> Shape:
    kind = Kind.INTEGER if traits["type"] == "long" else Kind(traits["type"])
    namespace = traits.get("xmlNamespace")
    common: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "flattened": bool(traits.get("flattened")),
        "namespace": (namespace.get("prefix", ""), namespace["uri"]) if namespace else None,
    }
    if kind is Kind.STRUCTURE:
        everything = [_member(n, r) for n, r in traits["members"].items()]
        attributes = {n for n, r in traits["members"].items() if r.get("xmlAttribute")}
        body = tuple(m for m in everything if m.location is Location.BODY and m.name not in attributes)
        required = frozenset(traits.get("required", ()))
        return Shape(
            **common,
            body=body,
            attributes=tuple(m for m in everything if m.name in attributes),
            elements=MappingProxyType({m.element: m for m in body}),
            required=tuple(m for m in everything if m.name in required and m.location is Location.BODY),
        )
    if kind is Kind.LIST:
        return Shape(**common, item=_member("item", traits["member"], item=True))
    timestamp_format = traits.get("timestampFormat") or _TIMESTAMP_FORMAT.get(location, "")
    bounded = kind is Kind.INTEGER
    return Shape(
        **common,
        choices=frozenset(() if name in OPEN_ENUMS else traits.get("enum", ())),
        minimum=traits.get("min") if bounded else None,
        maximum=traits.get("max") if bounded else None,
        timestamp_format=timestamp_format if kind is Kind.TIMESTAMP else "",
    )


def _message(operation: str, direction: str) -> Message | None:
    reference = OPERATIONS[operation].get(direction)
    if reference is None:
        return None
    traits = {**_MODEL["shapes"][reference["shape"]], **reference}
    members = {name: _member(name, r) for name, r in traits["members"].items()}
    required = frozenset(traits.get("required", ()))
    payload = members.get(traits.get("payload", ""))

    def at(location: Location) -> dict[str, Member]:
        return {m.wire: m for m in members.values() if m.location is location}

    return Message(
        root=payload.wire if payload else traits.get("locationName", reference["shape"]),
        shape=_shape(reference["shape"], traits),
        uri=MappingProxyType(at(Location.URI)),
        query=MappingProxyType(at(Location.QUERY)),
        headers=MappingProxyType({wire.lower(): m for wire, m in at(Location.HEADER).items()}),
        header_members=MappingProxyType({m.name: m for m in at(Location.HEADER).values()}),
        metadata=next(iter(at(Location.PREFIX).values()), None),
        payload=payload,
        payload_required=payload is not None and payload.name in required,
        required=tuple(
            m for m in members.values() if m.name in required and m.location in {Location.QUERY, Location.HEADER}
        ),
    )


@cache
def input_of(operation: str) -> Message:
    """Compile what a request of *operation* may carry. Raises: KeyError for a name that S3 does not have."""
    message = _message(operation, "input")
    assert message is not None, operation  # every S3 operation has an input shape
    return message


@cache
def output_of(operation: str) -> Message | None:
    """Compile what a response of *operation* carries; None when it has a status only."""
    return _message(operation, "output")
