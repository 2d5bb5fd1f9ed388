"""XML documents of responses, from boto3-shaped values and the service model.

Every document is UTF-8 with a declaration; roots of answers carry S3's namespace, error documents none. Characters
that XML 1.0 does not allow are written as numeric references, as S3 writes them; clients that keep such keys ask for
``encoding-type=url``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from s4gw.s3.errors import S3Error
from s4gw.s3.scalars import WRITE
from s4gw.s3.shapes import Kind, Member, Shape

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"

# markup, what a parser would normalise, and what XML 1.0 has no other way to write
_SPECIAL: Final = re.compile('[&<>"\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]')
_UNNAMED: Final = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")


def _reference(found: re.Match[str]) -> str:
    return f"&#x{ord(found.group()):x};"


def escape(text: str) -> str:
    """Write *text* so that it may stand in an element or a quoted attribute."""
    if _SPECIAL.search(text) is None:
        return text
    named = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return _UNNAMED.sub(_reference, named)


def error_document(error: S3Error, *, resource: str, request_id: str, host_id: str) -> bytes:
    """Write S3's error document for *error*.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """
    facts = {
        "Code": error.code,
        "Message": error.text,
        **error.facts,
        "Resource": resource,
        "RequestId": request_id,
        "HostId": host_id,
    }
    lines = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in facts.items())
    return f"{DECLARATION}<Error>{lines}</Error>".encode("utf-8", "replace")


def write_document(root: str, shape: Shape, values: Mapping[str, Any]) -> bytes:
    """Write the structure *values* under the element *root*; members that are None or missing are left out."""
    out = [f'{DECLARATION}<{root} xmlns="{NAMESPACE}">']
    _members(out, shape, values)
    out.append(f"</{root}>")
    return "".join(out).encode()


def _members(out: list[str], shape: Shape, values: Mapping[str, Any]) -> None:
    for member in shape.body:
        value = values.get(member.name)
        if value is not None:
            _element(out, member, value)


def _element(out: list[str], member: Member, value: Any) -> None:
    shape, name = member.shape, member.element
    if shape.kind is Kind.LIST:
        item = shape.item
        assert item is not None
        if shape.flattened:
            for one in value:
                _named(out, name, item.shape, one)
        else:
            out.append(f"<{name}>")
            for one in value:
                _named(out, item.wire, item.shape, one)
            out.append(f"</{name}>")
    else:
        _named(out, name, shape, value)


def _named(out: list[str], name: str, shape: Shape, value: Any) -> None:
    if shape.kind is Kind.STRUCTURE:
        attributes = "".join(
            f' {a.wire}="{escape(value[a.name])}"' for a in shape.attributes if value.get(a.name) is not None
        )
        if attributes and shape.namespace:
            prefix, uri = shape.namespace
            attributes = f' xmlns:{prefix}="{uri}"{attributes}'
        out.append(f"<{name}{attributes}>")
        _members(out, shape, value)
        out.append(f"</{name}>")
    elif shape.kind is Kind.STRING:
        out.append(f"<{name}>{escape(value)}</{name}>")
    else:
        out.append(f"<{name}>{escape(WRITE[shape.kind](shape, value))}</{name}>")
