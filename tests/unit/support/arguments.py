"""A task's arguments as ansible-core hands them to a backend: checked, converted, with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator


def validated(spec: Mapping[str, Any], given: Mapping[str, Any], **rules: Any) -> dict[str, Any]:
    """`rules`: those between arguments, such as ``mutually_exclusive``. What is refused fails the test."""
    checked = ArgumentSpecValidator(spec, **rules).validate(given)
    assert checked.error_messages == []
    return dict(checked.validated_parameters)


def refusals(spec: Mapping[str, Any], given: Mapping[str, Any], **rules: Any) -> list[str]:
    """What ansible-core says against these arguments."""
    found: list[str] = ArgumentSpecValidator(spec, **rules).validate(given).error_messages
    return found
