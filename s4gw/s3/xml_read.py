"""XML documents of requests: a small tree by expat, then values by the service model.

SECURITY: a DOCTYPE is refused, so there are no entities to expand; depth and number of elements are bounded, the
number of bytes is the caller's to bound. Namespaces are not looked at, unknown elements are ignored, whitespace in
strings is kept (keys may end in spaces). What does not fit the model is MalformedXML.
"""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat

from s4gw.s3.errors import MalformedXML
from s4gw.s3.scalars import READ
from s4gw.s3.shapes import Kind, Member, Shape

DEPTH_MAX: Final = 16
"""The deepest document of the service model (lifecycle, inventory) has 8 levels."""
ELEMENTS_MAX: Final = 100_000
"""CompleteMultipartUpload may list 10,000 parts with number, ETag and some checksums."""
ATTRIBUTES_MAX: Final = 16
_SEPARATOR: Final = "\n"  # cannot occur in a namespace as expat reports it


class Element:
    """One element: local name, own text, children in order. Lives only while a request is read."""

    __slots__ = ("attributes", "children", "tag", "text")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Element] = []
        self.text = ""


class _Builder:
    """Receives expat's events."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self.open: list[Element] = []
        self.count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if len(self.open) >= DEPTH_MAX or self.count > ELEMENTS_MAX or len(attributes) > ATTRIBUTES_MAX:
            raise MalformedXML
        if attributes:
            attributes = {name.rpartition(_SEPARATOR)[2]: value for name, value in attributes.items()}
        element = Element(tag.rpartition(_SEPARATOR)[2], attributes)
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def end(self, _tag: str) -> None:
        self.open.pop()

    def data(self, text: str) -> None:
        element = self.open[-1]
        element.text = element.text + text if element.text else text

    def doctype(self, *_: object) -> None:
        raise MalformedXML


def parse(document: bytes) -> Element:
    """Parse *document* into a tree. Raises: MalformedXML."""
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, ValueError, LookupError) as broken:  # LookupError: an encoding that Python lacks
        raise MalformedXML from broken
    if builder.root is None:
        raise MalformedXML
    return builder.root


def read_document(document: bytes, root: str, shape: Shape) -> dict[str, Any]:
    """Read *document*, whose root element must be *root*, as the structure *shape*.

    Returns: boto3-shaped values: dicts, lists, str, int, bool, aware datetimes.
    Raises: MalformedXML.
    """
    element = parse(document)
    if element.tag != root:
        raise MalformedXML
    return _structure(shape, element)


def _structure(shape: Shape, element: Element) -> dict[str, Any]:
    values: dict[str, Any] = {}
    elements = shape.elements
    for child in element.children:
        member = elements.get(child.tag)
        if member is None:
            continue
        if member.shape.flattened:
            values.setdefault(member.name, []).append(_item(member, child))
        elif member.name in values:
            raise MalformedXML
        else:
            values[member.name] = _value(member.shape, child)
    for attribute in shape.attributes:
        text = element.attributes.get(attribute.wire.rpartition(":")[2])
        if text is not None:
            values[attribute.name] = _scalar(attribute.shape, text)
    for member in shape.required:
        if member.name not in values:
            raise MalformedXML
    return values


def _item(member: Member, element: Element) -> Any:
    item = member.shape.item
    assert item is not None
    return _value(item.shape, element)


def _value(shape: Shape, element: Element) -> Any:
    if shape.kind is Kind.STRUCTURE:
        return _structure(shape, element)
    if shape.kind is Kind.LIST:
        item = shape.item
        assert item is not None
        return [_value(item.shape, child) for child in element.children if child.tag == item.wire]
    if element.children:
        raise MalformedXML
    return _scalar(shape, element.text)


def _scalar(shape: Shape, text: str) -> Any:
    if shape.choices:
        text = text.strip()
    try:
        return READ[shape.kind](shape, text)
    except ValueError as wrong:
        raise MalformedXML from wrong
