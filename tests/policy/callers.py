"""Who asks in the tests of policies, and short ways to write documents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Person:
    """A caller."""

    access_key: str
    name: str
    owner_id: str
    anonymous: bool = False


ALICE = Person("AKALICE", "alice", "alice-id")
BOB = Person("AKBOB", "bob", "bob-id")
NOBODY = Person("", "", "", anonymous=True)


class Users:
    """The people above, as access control lists look them up."""

    def owner_name(self, owner_id: str) -> str | None:
        return {"alice-id": "alice", "bob-id": "bob"}.get(owner_id)

    def owner_by_email(self, email: str) -> str | None:
        return {"bob@example.com": "bob-id"}.get(email)


USERS = Users()


def statement(**changed: Any) -> dict[str, Any]:
    """A statement that lets everybody read bucket ``b``, with elements changed; None leaves one out."""
    whole = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"} | changed
    return {name: value for name, value in whole.items() if value is not None}


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    """A policy document."""
    return json.dumps({"Version": version, "Statement": list(statements)})
