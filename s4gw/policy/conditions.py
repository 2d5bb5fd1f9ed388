"""Condition operators: parsed once when a policy is stored, tested per request.

A statement's conditions are all to hold. One condition holds when any of its values matches; a negated operator
holds when none does. A key that is absent fails the plain operators and satisfies negated and ``IfExists`` ones.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from s4gw.policy.context import Context, is_known_key
from s4gw.policy.match import Glob, Network, arn_matches, in_network, parse_network
from s4gw.policy.template import Template, TemplateError

Operand = Template | float | bool | Network
Quantifier = Literal["", "ForAnyValue", "ForAllValues"]
VALUES_MAX: Final = 1000


class ConditionError(ValueError):
    """A condition that cannot be understood; the text names it."""


@dataclass(frozen=True, slots=True)
class _Family:
    """One operator: how its operand is read and how a value of the request is compared with it."""

    read: Callable[[str], Operand]
    test: Callable[[str, Operand, Context], bool]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key."""

    operator: str
    """Operator as IAM spells it, without quantifier and suffix."""
    key: str
    """Lower-case."""
    operands: tuple[Operand, ...]
    quantifier: Quantifier = ""
    if_exists: bool = False

    def holds(self, context: Context) -> bool:
        """Whether the request fulfils the condition."""
        values = context.values(self.key)
        if self.operator == "Null":
            return (values is None) in self.operands
        family = _FAMILIES[self.operator]
        if values is None:
            return self.if_exists or self.quantifier == "ForAllValues" or (family.negated and not self.quantifier)
        matched = [any(family.test(value, operand, context) for operand in self.operands) for value in values]
        if self.quantifier == "ForAllValues":
            return all(match != family.negated for match in matched)
        if self.quantifier == "ForAnyValue":
            return any(match != family.negated for match in matched)
        return any(matched) != family.negated


def parse_conditions(block: object) -> tuple[Condition, ...]:
    """Read a statement's Condition element.

    Raises: ConditionError (unknown operator or key, a value of the wrong type).
    """
    if not isinstance(block, Mapping):
        raise ConditionError("Condition must be an object")
    conditions: list[Condition] = []
    for operator, keys in block.items():
        if not isinstance(keys, Mapping) or not keys:
            raise ConditionError(f"{operator} must name condition keys")
        conditions.extend(_parse_one(operator, key, values) for key, values in keys.items())
    return tuple(conditions)


def _parse_one(spelled: str, key: str, values: object) -> Condition:
    """One operator on one key."""
    quantifier, name = _quantifier(spelled)
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    canonical = _NAMES.get(name.lower())
    if canonical is None or (canonical == "Null" and (if_exists or quantifier)):
        raise ConditionError(f"unknown condition operator {spelled}")
    if not is_known_key(key):
        raise ConditionError(f"unknown condition key {key}")
    listed = values if isinstance(values, list) else [values]
    if not listed or len(listed) > VALUES_MAX:
        raise ConditionError(f"{spelled} on {key} needs between 1 and {VALUES_MAX} values")
    read = _read_bool if canonical == "Null" else _FAMILIES[canonical].read
    try:
        operands = tuple(read(_text(value)) for value in listed)
    except (ValueError, TemplateError) as error:
        raise ConditionError(f"{spelled} on {key} has a value it cannot compare") from error
    return Condition(canonical, key.lower(), operands, quantifier, if_exists)


def _quantifier(spelled: str) -> tuple[Quantifier, str]:
    """Split ``ForAnyValue:StringEquals``."""
    first, colon, rest = spelled.partition(":")
    if not colon:
        return "", spelled
    if first.lower() == "foranyvalue":
        return "ForAnyValue", rest
    if first.lower() == "forallvalues":
        return "ForAllValues", rest
    raise ConditionError(f"unknown condition operator {spelled}")


def _text(value: object) -> str:
    """A JSON value as the text that operators compare."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return repr(value)
    raise ValueError("neither text, number nor boolean")


def _read_literal(text: str) -> Template:
    return Template.parse(text, wildcards=False)


def _read_arn(text: str) -> Template:
    """An ARN pattern; variables are refused, for a wildcard in a user's name would act as one."""
    template = Template.parse(text, wildcards=False)
    if template.fixed is None:
        raise TemplateError("a variable in an ARN condition")
    return template


def _read_pattern(text: str) -> Template:
    return Template.parse(text)


def _read_number(text: str) -> float:
    return float(text)


def _read_bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else _refuse(text)


def _refuse(text: str) -> bool:
    raise ValueError(text)


def _read_date(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 date or a number of seconds."""
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _same_text(value: str, operand: Operand, context: Context) -> bool:
    return isinstance(operand, Template) and operand.text(context) == value


def _same_text_ignoring_case(value: str, operand: Operand, context: Context) -> bool:
    if not isinstance(operand, Template):
        return False
    text = operand.text(context)
    return text is not None and text.casefold() == value.casefold()


def _like(value: str, operand: Operand, context: Context) -> bool:
    pattern: Glob | None = operand.glob(context) if isinstance(operand, Template) else None
    return pattern is not None and pattern.matches(value)


def _arn_like(value: str, operand: Operand, context: Context) -> bool:
    pattern = operand.text(context) if isinstance(operand, Template) else None
    return pattern is not None and arn_matches(pattern, value)


def _in_range(value: str, operand: Operand, context: Context) -> bool:  # noqa: ARG001 - one signature for all
    return not isinstance(operand, Template | float | bool) and in_network(value, operand)


def _same_bool(value: str, operand: Operand, context: Context) -> bool:  # noqa: ARG001
    return value.lower() == ("true" if operand else "false")


def _compared(
    read: Callable[[str], float], accept: Callable[[float, float], bool]
) -> Callable[[str, Operand, Context], bool]:
    """A test that reads the request's value like the operand; what cannot be read does not match."""

    def test(value: str, operand: Operand, context: Context) -> bool:  # noqa: ARG001
        try:
            return isinstance(operand, float) and accept(read(value), operand)
        except ValueError:
            return False

    return test


def _ordered(name: str, read: Callable[[str], float]) -> dict[str, _Family]:
    """The six operators of numbers and dates."""
    return {
        f"{name}Equals": _Family(read, _compared(read, lambda a, b: a == b)),
        f"{name}NotEquals": _Family(read, _compared(read, lambda a, b: a == b), negated=True),
        f"{name}LessThan": _Family(read, _compared(read, lambda a, b: a < b)),
        f"{name}LessThanEquals": _Family(read, _compared(read, lambda a, b: a <= b)),
        f"{name}GreaterThan": _Family(read, _compared(read, lambda a, b: a > b)),
        f"{name}GreaterThanEquals": _Family(read, _compared(read, lambda a, b: a >= b)),
    }


_FAMILIES: Final[Mapping[str, _Family]] = {
    "StringEquals": _Family(_read_literal, _same_text),
    "StringNotEquals": _Family(_read_literal, _same_text, negated=True),
    "StringEqualsIgnoreCase": _Family(_read_literal, _same_text_ignoring_case),
    "StringNotEqualsIgnoreCase": _Family(_read_literal, _same_text_ignoring_case, negated=True),
    "StringLike": _Family(_read_pattern, _like),
    "StringNotLike": _Family(_read_pattern, _like, negated=True),
    **_ordered("Numeric", _read_number),
    **_ordered("Date", _read_date),
    "Bool": _Family(_read_bool, _same_bool),
    "IpAddress": _Family(parse_network, _in_range),
    "NotIpAddress": _Family(parse_network, _in_range, negated=True),
    "ArnEquals": _Family(_read_arn, _arn_like),
    "ArnLike": _Family(_read_arn, _arn_like),
    "ArnNotEquals": _Family(_read_arn, _arn_like, negated=True),
    "ArnNotLike": _Family(_read_arn, _arn_like, negated=True),
}
_NAMES: Final = {name.lower(): name for name in (*_FAMILIES, "Null")}
