# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dataclasses to JSON data and back, checked field by field against their annotations.

What is stored in the cluster is read by other versions and edited by people, so no field is trusted: a
missing one, or one of another type, is named with its place. A new field of a dataclass needs no code here.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

_PLAIN = frozenset({str, int, float, bool, type(None)})


class SchemaError(ValueError):
    """A value that is not what its annotation says; the message begins with the field's place."""


def encode(value: Any) -> Any:
    """The value as JSON data. :returns: mappings, lists, strings, numbers, booleans and None only.

    A dataclass that has a method ``as_dict`` says itself what is written.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is tuple or kind is list:
        return [encode(item) for item in value]
    if issubclass(kind, enum.Enum):
        return value.value
    if issubclass(kind, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    return value.as_dict() if hasattr(kind, "as_dict") else encode_fields(value)


def encode_fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass. :returns: name -> JSON data, without what is None by default and now."""
    kind: Any = type(value)
    found: dict[str, Any] = {}
    for name, optional in _written(kind):
        item = getattr(value, name)
        if item is not None or not optional:
            found[name] = item if type(item) in _PLAIN else encode(item)
    return found


@functools.cache
def _written(kind: Any) -> tuple[tuple[str, bool], ...]:
    """Name of each field of a dataclass, and whether it is left out while it is None."""
    return tuple((field.name, field.default is None) for field in dataclasses.fields(kind))


def decode(kind: type[Any], data: Any, where: str = "") -> Any:
    """The dataclass that JSON data describe. Fields that it does not have are ignored.

    :param where: place of the data, which the places of its fields begin with.
    :raises SchemaError: a field is missing, or of another type than annotated.
    """
    if not isinstance(data, Mapping):
        raise SchemaError(f"{where or 'it'} is {_shown(data)}, not a mapping")
    values = {}
    known: Any = kind  # functools.cache wants a Hashable, which mypy does not see in a class
    fields: tuple[tuple[str, Any, bool], ...] = _fields(known)
    for name, annotation, required in fields:
        place = f"{where}.{name}" if where else name
        if name in data:
            values[name] = _value(annotation, data[name], place)
        elif required:
            raise SchemaError(f"{place} is missing")
    return kind(**values)


@functools.cache
def _fields(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    """Name, annotation, and whether there is no default."""
    hints = typing.get_type_hints(kind)
    absent = dataclasses.MISSING
    return tuple(
        (field.name, hints[field.name], field.default is absent and field.default_factory is absent)
        for field in dataclasses.fields(kind)
    )


def _value(annotation: Any, data: Any, where: str) -> Any:
    if annotation is Any:
        return data
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):  # "X | None" is the only one in use
        return None if data is None else _value(inner[0], data, where)
    if origin is tuple:
        return _items(inner, data, where)
    if origin is not None:  # Mapping[str, X]
        if not isinstance(data, Mapping):
            raise SchemaError(f"{where} is {_shown(data)}, not a mapping")
        return {key: _value(inner[1], item, f"{where}.{key}") for key, item in data.items()}
    kind: type[Any] = annotation
    if dataclasses.is_dataclass(kind):
        return decode(kind, data, where)
    if issubclass(kind, enum.Enum):
        return _member(kind, data, where)
    # JSON knows one kind of number, and Python's True is an int
    allowed = (int, float) if annotation is float else (annotation,)
    if not isinstance(data, allowed) or (isinstance(data, bool) and annotation is not bool):
        raise SchemaError(f"{where} is {_shown(data)}, not {_NAMES[annotation]}")
    return data


def _items(inner: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    """``tuple[X, ...]``, or one of fixed length."""
    if isinstance(data, str) or not isinstance(data, Sequence):
        raise SchemaError(f"{where} is {_shown(data)}, not a list")
    kinds = inner[:1] * len(data) if inner[-1] is Ellipsis else inner
    if len(data) != len(kinds):
        raise SchemaError(f"{where} has {len(data)} items, not {len(kinds)}")
    return tuple(
        _value(kind, item, f"{where}[{index}]")
        for index, (kind, item) in enumerate(zip(kinds, data, strict=True))
    )


def _member(kind: type[enum.Enum], data: Any, where: str) -> enum.Enum:
    try:
        return kind(data)
    except ValueError as error:
        known = ", ".join(repr(member.value) for member in kind)
        raise SchemaError(f"{where} is {_shown(data)}, not one of {known}") from error


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


_NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
