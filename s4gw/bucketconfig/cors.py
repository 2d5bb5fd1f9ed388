"""Cross-origin rules of a bucket: checked when stored, matched per request.

The first rule that fits origin, method and headers answers. A pattern holds at most one ``*``, so matching is two
comparisons and needs no backtracking.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from s4gw.bucketconfig.documents import load_document
from s4gw.s3.errors import InvalidRequest, MalformedXML

RULES_MAX: Final = 100
METHODS: Final = frozenset({"GET", "PUT", "HEAD", "POST", "DELETE"})


class CorsRule(msgspec.Struct, frozen=True):
    """One rule."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()
    """Lower-case patterns."""
    exposed: tuple[str, ...] = ()
    max_age_s: int | None = None

    def fits(self, origin: str, method: str, requested: Sequence[str] = ()) -> str | None:
        """The origin pattern that fits, when the rule allows *method* and all *requested* headers (lower-case)."""
        if method not in self.methods:
            return None
        if not all(any(_matches(pattern, name) for pattern in self.headers) for name in requested):
            return None
        return next((pattern for pattern in self.origins if _matches(pattern, origin)), None)


def parse_cors(document: Mapping[str, Any]) -> tuple[CorsRule, ...]:
    """Check a boto3-shaped CORSConfiguration.

    Raises: MalformedXML, InvalidRequest (unknown method, two stars in a pattern).
    """
    given = document.get("CORSRules") or []
    if not 1 <= len(given) <= RULES_MAX:
        raise MalformedXML
    return tuple(_rule(rule) for rule in given)


def stored_cors(configs: Mapping[str, bytes]) -> tuple[CorsRule, ...]:
    """The rules that a bucket's stored documents say; empty when there are none."""
    stored = configs.get("cors")
    return parse_cors(load_document(stored)) if stored else ()


def cors_headers(rules: Sequence[CorsRule], *, origin: str, method: str) -> list[tuple[str, str]]:
    """Response headers for an actual request from *origin*; empty when no rule fits."""
    for rule in rules:
        pattern = rule.fits(origin, method)
        if pattern is not None:
            headers = _common(pattern, origin, rule)
            if rule.exposed:
                headers.append(("Access-Control-Expose-Headers", ", ".join(rule.exposed)))
            return headers
    return []


def preflight_headers(
    rules: Sequence[CorsRule], *, origin: str, method: str, requested: Sequence[str]
) -> list[tuple[str, str]] | None:
    """Response headers for a preflight request, or None when no rule fits.

    Args:
        rules: Of the bucket.
        origin: ``Origin``.
        method: ``Access-Control-Request-Method``.
        requested: Names in ``Access-Control-Request-Headers``.
    """
    names = [name.strip().lower() for name in requested if name.strip()]
    for rule in rules:
        pattern = rule.fits(origin, method, names)
        if pattern is not None:
            headers = _common(pattern, origin, rule)
            if names:
                headers.append(("Access-Control-Allow-Headers", ", ".join(names)))
            if rule.exposed:
                headers.append(("Access-Control-Expose-Headers", ", ".join(rule.exposed)))
            if rule.max_age_s is not None:
                headers.append(("Access-Control-Max-Age", str(rule.max_age_s)))
            return headers
    return None


def _common(pattern: str, origin: str, rule: CorsRule) -> list[tuple[str, str]]:
    """What both kinds of answers carry."""
    headers = [
        ("Access-Control-Allow-Origin", "*" if pattern == "*" else origin),
        ("Access-Control-Allow-Methods", ", ".join(rule.methods)),
        ("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"),
    ]
    if pattern != "*":
        headers.insert(1, ("Access-Control-Allow-Credentials", "true"))
    return headers


def _rule(raw: Mapping[str, Any]) -> CorsRule:
    """Check one rule."""
    origins, methods = tuple(raw.get("AllowedOrigins") or ()), tuple(raw.get("AllowedMethods") or ())
    headers = tuple(name.lower() for name in raw.get("AllowedHeaders") or ())
    if not origins or not methods:
        raise MalformedXML
    for method in methods:
        if method not in METHODS:
            raise InvalidRequest(f"Found unsupported HTTP method in CORS config. Unsupported method is {method}")
    for what, patterns in (("AllowedOrigin", origins), ("AllowedHeader", headers)):
        for pattern in patterns:
            if pattern.count("*") > 1:
                raise InvalidRequest(f'{what} "{pattern}" can not have more than one wildcard.')
    age = raw.get("MaxAgeSeconds")
    if age is not None and age < 0:
        raise MalformedXML
    return CorsRule(origins, methods, headers, tuple(raw.get("ExposeHeaders") or ()), age)


def _matches(pattern: str, text: str) -> bool:
    """Whether *text* fits *pattern*, which holds at most one star."""
    before, star, after = pattern.partition("*")
    if not star:
        return pattern == text
    return len(text) >= len(before) + len(after) and text.startswith(before) and text.endswith(after)
