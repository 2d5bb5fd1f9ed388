"""Form uploads: the signature and the policy that a browser form carries in its fields.

A form without policy and signature is anonymous. With them, the policy is what is signed: it must not have expired,
and every field of the form must be named by one of its conditions, so that nobody can add to a form that somebody
else signed. Field names are compared in lower case; the size of the file is checked when it is known.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html and
.../sigv4-authentication-HTTPPOST.html
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from s4gw.auth.credentials import CredentialStore
from s4gw.auth.model import ANONYMOUS, Credentials, Identity
from s4gw.auth.sigv4 import (
    ALGORITHM,
    SKEW_MAX_S,
    check_scope_date,
    find_pair,
    find_signer,
    parse_iso_time,
)
from s4gw.s3.errors import (
    AccessDenied,
    AuthorizationQueryParametersError,
    InvalidArgument,
    InvalidPolicyDocument,
    InvalidRequest,
    InvalidToken,
    SignatureDoesNotMatch,
    UnsupportedSignature,
)

POLICY_BYTES_MAX: Final = 20 * 1024
"""Largest form policy; S3's limit for all fields before the file is 20 KB."""

SIZE_CONDITION: Final = "content-length-range"
_V4_FIELDS: Final = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")
_V2_FIELDS: Final = ("awsaccesskeyid", "signature")
_UNCONDITIONED: Final = frozenset({"policy", "x-amz-signature", "awsaccesskeyid", "signature", "file", "submit"})
_IGNORED_PREFIX: Final = "x-ignore-"
_CONDITION_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a form policy."""

    operator: str
    """``eq``, ``starts-with`` or ``content-length-range``."""
    field: str
    """Lower-case name without the dollar sign; empty for the size."""
    value: str
    low: int = 0
    high: int = 0

    def describe(self) -> str:
        """The condition as S3 quotes it."""
        return f'["{self.operator}", "${self.field}", "{self.value}"]'


@dataclass(frozen=True, slots=True)
class FormPolicy:
    """What a form may upload."""

    expires: float
    """Seconds since the epoch."""
    conditions: tuple[Condition, ...]

    def check_fields(self, fields: Mapping[str, str], *, bucket: str) -> None:
        """Compare the form with the policy.

        Args:
            fields: Lower-case name -> value, without the file, ``${filename}`` already replaced.
            bucket: Where the form was sent to; conditions on ``bucket`` mean this one, whatever a field says.

        Raises: AccessDenied (S3's answer to a form that its policy does not allow).
        """
        values = {**fields, "bucket": bucket}
        for condition in self.conditions:
            if condition.operator == SIZE_CONDITION:
                continue
            value = values.get(condition.field, "")
            holds = value == condition.value if condition.operator == "eq" else _starts(value, condition)
            if not holds:
                raise AccessDenied(f"Invalid according to Policy: Policy Condition failed: {condition.describe()}")
        named = {condition.field for condition in self.conditions}
        for name in values:
            if name not in named and name not in _UNCONDITIONED and not name.startswith(_IGNORED_PREFIX):
                raise AccessDenied(f"Invalid according to Policy: Extra input fields: {name}")

    @property
    def size_range(self) -> tuple[int, int] | None:
        """Smallest and largest size allowed, in bytes and inclusive, or None; several ranges all count."""
        ranges = [(c.low, c.high) for c in self.conditions if c.operator == SIZE_CONDITION]
        return (max(low for low, _ in ranges), min(high for _, high in ranges)) if ranges else None


def authenticate_form(
    fields: Mapping[str, str], credentials: CredentialStore, *, now: float, bucket: str, sigv2: bool = False
) -> Identity:
    """Find out who signed a form, and hold the form against its policy.

    Args:
        fields: Lower-case name -> value of every field before the file, ``${filename}`` already replaced.
        credentials: Who may sign.
        now: Seconds since the epoch.
        bucket: Where the form was sent to.
        sigv2: Also accept Signature Version 2, which S3 no longer takes for new buckets.

    Returns: The signer; anonymous when the form has neither policy nor signature. The size of the file is to be
        checked with `form_policy` once it is known.
    Raises: AccessDenied, InvalidAccessKeyId, SignatureDoesNotMatch, InvalidPolicyDocument, InvalidArgument,
        InvalidRequest, InvalidToken, AuthorizationQueryParametersError, UnsupportedSignature.
    """
    policy = form_policy(fields)
    if policy is None:
        if any(name in fields for name in (*_V4_FIELDS, *_V2_FIELDS)):
            raise InvalidArgument("Bucket POST must contain a field named 'policy'.", ArgumentName="policy")
        return Identity(principal=ANONYMOUS, auth_type="anonymous")
    if "x-amz-security-token" in fields:
        raise InvalidToken
    if any(name in fields for name in _V4_FIELDS):
        pair = _check_v4(fields, credentials, now)
        version = ALGORITHM
    elif sigv2 or not any(name in fields for name in _V2_FIELDS):
        pair = _check_v2(fields, credentials)
        version = "AWS"
    else:
        raise InvalidRequest(
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        )
    if policy.expires <= now:
        raise AccessDenied("Invalid according to Policy: Policy expired.")
    policy.check_fields(fields, bucket=bucket)
    return Identity(
        principal=pair.principal,
        auth_type="post",
        signature_version="AWS4-HMAC-SHA256" if version == ALGORITHM else "AWS",
    )


def form_policy(fields: Mapping[str, str]) -> FormPolicy | None:
    """The policy in a form's fields, or None when it has none.

    Raises: InvalidPolicyDocument.
    """
    encoded = fields.get("policy")
    if encoded is None:
        return None
    try:
        text = base64.b64decode("".join(encoded.split()), validate=True)
        document = json.loads(text) if len(text) <= POLICY_BYTES_MAX else None
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InvalidPolicyDocument("Invalid Policy: Invalid JSON.") from error
    if not isinstance(document, dict):
        raise InvalidPolicyDocument("Invalid Policy: Invalid JSON.")
    unknown = document.keys() - {"expiration", "conditions"}
    if unknown:
        raise InvalidPolicyDocument(f"Invalid Policy: Unexpected: '{min(unknown)}'.")
    conditions = document.get("conditions")
    if not isinstance(conditions, list):
        raise InvalidPolicyDocument("Invalid Policy: Policy missing conditions.")
    return FormPolicy(_expiration(document.get("expiration")), tuple(map(_condition, conditions)))


def _expiration(stated: object) -> float:
    """Seconds since the epoch of ``2030-01-01T00:00:00Z``, with or without fractions."""
    if not isinstance(stated, str):
        raise InvalidPolicyDocument("Invalid Policy: Policy missing expiration.")
    if "T" in stated and stated.endswith("Z"):
        try:
            return datetime.fromisoformat(stated).astimezone(UTC).timestamp()
        except (ValueError, OverflowError):
            pass
    raise InvalidPolicyDocument(f"Invalid Policy: Invalid 'expiration' value: '{stated[:64]}'")


def _condition(raw: object) -> Condition:
    """Read one condition."""
    if isinstance(raw, dict):
        if len(raw) != 1:
            raise InvalidPolicyDocument("Invalid Policy: Invalid Simple-Condition: Simple-Conditions must have 1 item.")
        name, value = next(iter(raw.items()))
        if not isinstance(value, str):
            raise InvalidPolicyDocument("Invalid Policy: Invalid Simple-Condition: value must be a string.")
        return Condition("eq", name.lower(), value)
    if not isinstance(raw, list) or len(raw) != _CONDITION_PARTS or not isinstance(raw[0], str):
        raise InvalidPolicyDocument("Invalid Policy: Invalid Condition: it must have an operator and two values.")
    operator = raw[0].lower()
    if operator == SIZE_CONDITION:
        return Condition(SIZE_CONDITION, "", "", _size(raw[1]), _size(raw[2]))
    if operator not in ("eq", "starts-with"):
        raise InvalidPolicyDocument(f"Invalid Policy: Invalid Condition: unknown operation '{raw[0][:64]}'.")
    name, value = raw[1], raw[2]
    if not (isinstance(name, str) and name.startswith("$") and isinstance(value, str)):
        raise InvalidPolicyDocument("Invalid Policy: Invalid Condition: expected a $field and a string.")
    return Condition(operator, name[1:].lower(), value)


def _size(value: object) -> int:
    """A size in bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(2**63)):
        return int(value)
    raise InvalidPolicyDocument("Invalid Policy: Invalid content-length-range.")


def _starts(value: str, condition: Condition) -> bool:
    """Whether *value* begins as asked; in Content-Type each of a comma-separated list has to."""
    values = value.split(",") if condition.field == "content-type" else [value]
    return all(part.strip().startswith(condition.value) for part in values)


def _check_v4(fields: Mapping[str, str], credentials: CredentialStore, now: float) -> Credentials:
    """Verify Signature Version 4 over the policy as sent."""
    missing = [name for name in _V4_FIELDS if not fields.get(name)]
    if missing:
        raise InvalidArgument(f"Bucket POST must contain a field named '{missing[0]}'.", ArgumentName=missing[0])
    algorithm = fields["x-amz-algorithm"]
    if algorithm != ALGORITHM:
        raise UnsupportedSignature("Only AWS4-HMAC-SHA256 is supported here.")
    signed_at = parse_iso_time(fields["x-amz-date"])
    if signed_at is None:
        raise AccessDenied("Invalid according to Policy: x-amz-date is not in the ISO8601 Long Format")
    signer = find_signer(fields["x-amz-credential"], credentials, AuthorizationQueryParametersError)
    check_scope_date(signer, fields["x-amz-date"], AuthorizationQueryParametersError)
    if signed_at - now > SKEW_MAX_S:
        raise AccessDenied("Request is not yet valid")
    ours = hmac.digest(signer.key, fields["policy"].encode(), "sha256").hex()
    _compare(ours, fields["x-amz-signature"], signer.pair)
    return signer.pair


def _check_v2(fields: Mapping[str, str], credentials: CredentialStore) -> Credentials:
    """Verify Signature Version 2 over the policy as sent."""
    missing = [name for name in _V2_FIELDS if not fields.get(name)]
    if missing:
        label = "AWSAccessKeyId" if missing[0] == "awsaccesskeyid" else missing[0]
        raise InvalidArgument(f"Bucket POST must contain a field named '{label}'.", ArgumentName=label)
    pair = find_pair(fields["awsaccesskeyid"], credentials)
    digest = hmac.digest(pair.secret_key.encode(), fields["policy"].encode(), "sha1")
    _compare(base64.b64encode(digest).decode(), fields["signature"], pair)
    return pair


def _compare(ours: str, theirs: str, pair: Credentials) -> None:
    """Compare signatures. SECURITY: in constant time."""
    if not hmac.compare_digest(ours.encode(), theirs.encode("utf-8", "surrogateescape")):
        raise SignatureDoesNotMatch(AWSAccessKeyId=pair.access_key)
