"""The table of error classes is sound and complete with respect to the service model."""

from __future__ import annotations

import inspect

from s4gw.s3 import errors
from s4gw.s3.errors import S3Error
from s4gw.s3.shapes import OPERATIONS

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, S3Error) and c is not S3Error]


def test_class_is_named_as_its_code() -> None:
    """A class has its code's name, a message, and a status that is an answer other than success."""
    wrong = [c for c in CLASSES if c.__name__ != c.code or not c.message or not 300 <= c.status < 600]

    assert [] == wrong


def test_every_class_is_exported() -> None:
    """``from s4gw.s3.errors import X`` works for each, and __all__ says so."""
    assert sorted([c.__name__ for c in CLASSES] + ["S3Error"]) == sorted(errors.__all__)


def test_every_error_of_the_model_has_a_class() -> None:
    """Whatever botocore may turn into an exception of its own can be raised here."""
    modelled = {shape["shape"] for entry in OPERATIONS.values() for shape in entry.get("errors", ())}

    assert set() == modelled - {c.code for c in CLASSES}


def test_instance_carries_message_headers_and_facts() -> None:
    """An instance has the class's text unless given another, and keeps facts and headers apart."""
    plain, told = errors.NoSuchKey(), errors.SlowDown("Wait.", headers={"Retry-After": "1"}, Key="k")

    got = (plain.text, plain.facts, told.text, told.headers, told.facts)
    assert (errors.NoSuchKey.message, {}, "Wait.", {"Retry-After": "1"}, {"Key": "k"}) == got
