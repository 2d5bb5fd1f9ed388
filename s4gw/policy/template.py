"""Text in a policy with wildcards and variables, such as ``home/${aws:username}/*``.

A variable's value stands for itself: wildcards in it match nothing but themselves, so a user named ``*`` gains
nothing. A variable without a value, and without a default, makes the whole text match nothing.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from s4gw.policy.context import Context, is_known_key
from s4gw.policy.match import PATTERN_CHARS_MAX, Glob, Literally, Wild, compile_glob, tokenize

_ESCAPES: Final = {"*": "*", "?": "?", "$": "$"}


class TemplateError(ValueError):
    """A text with a variable that is unknown or not closed."""


@dataclass(frozen=True, slots=True)
class Variable:
    """``${key}`` or ``${key, 'default'}``."""

    key: str
    default: str | None

    def value(self, context: Context) -> str | None:
        """The one value of the key, the default, or None."""
        values = context.values(self.key)
        return values[0] if values is not None and len(values) == 1 else self.default


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text; `fixed` when it holds no variable."""

    source: str
    parts: tuple[Literally | Wild | Variable, ...]
    fixed: Glob | None

    @classmethod
    def parse(cls, source: str, *, wildcards: bool = True) -> Template:
        """Take *source* apart. Raises: TemplateError."""
        if len(source) > PATTERN_CHARS_MAX:
            raise TemplateError("a pattern is too long")
        parts = tuple(_parts(source, wildcards=wildcards))
        plain = [part for part in parts if not isinstance(part, Variable)]
        return cls(source, parts, compile_glob(plain) if len(plain) == len(parts) else None)

    def glob(self, context: Context) -> Glob | None:
        """The pattern with its variables filled in, or None when one has no value."""
        if self.fixed is not None:
            return self.fixed
        tokens: list[Literally | Wild] = []
        for part in self.parts:
            if isinstance(part, Variable):
                value = part.value(context)
                if value is None:
                    return None
                tokens.append(Literally(value))
            else:
                tokens.append(part)
        return compile_glob(tokens)

    def text(self, context: Context) -> str | None:
        """The text with its variables filled in, wildcards as written, or None when a variable has no value."""
        pieces: list[str] = []
        for part in self.parts:
            piece = part.value(context) if isinstance(part, Variable) else part
            if piece is None:
                return None
            pieces.append(piece.text if isinstance(piece, Literally) else piece)
        return "".join(pieces)

    @property
    def is_open(self) -> bool:
        """The text holds a wildcard or a variable, so it is no fixed value."""
        return any(not isinstance(part, Literally) for part in self.parts)


def _parts(source: str, *, wildcards: bool) -> Iterator[Literally | Wild | Variable]:
    """Literals, wildcards and variables of *source*."""
    at = 0
    while at < len(source):
        opened = source.find("${", at)
        text = source[at:] if opened < 0 else source[at:opened]
        if text:
            yield from tokenize(text) if wildcards else (Literally(text),)
        if opened < 0:
            return
        closed = source.find("}", opened)
        if closed < 0:
            raise TemplateError("a variable is not closed")
        yield _variable(source[opened + 2 : closed])
        at = closed + 1


def _variable(inside: str) -> Literally | Variable:
    """What stands between the braces."""
    if inside in _ESCAPES:
        return Literally(_ESCAPES[inside])
    key, comma, rest = inside.partition(",")
    default = rest.strip()
    if comma and not (len(default) > 1 and default[0] == default[-1] == "'"):
        raise TemplateError("the default of a variable stands in single quotes")
    if not is_known_key(key.strip()):
        raise TemplateError(f"unknown variable {key.strip()}")
    return Variable(key.strip().lower(), default[1:-1] if comma else None)
