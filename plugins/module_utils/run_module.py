# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a backend as a module, and what module and action plugin have in common.

A backend is a Python module of ``operations`` with ``ARGUMENT_SPEC`` and ``run(params, context) -> dict``,
and perhaps ``CONSTRAINTS`` (keywords of AnsibleModule such as ``mutually_exclusive``) and ``VARIABLES``
(option -> the variable by which a role sets it).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import threading
import traceback
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule

from .context import Context
from .errors import InputError, MeshError, Problem
from .kube.options import HANDOVER, secrets_in
from .model.catalogue.variables import typed_catalogue
from .model.reading.typed import missing_options, typed_options

_OURS = "/servicemesh/istio/plugins/"
_HARMLESS = frozenset({AttributeError, ImportError, IndexError, ModuleNotFoundError, NameError, TypeError})


@contextlib.contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """A function that turns true on SIGINT or SIGTERM, or when the parent process is gone.

    The handlers only set an event: one that raises would be interrupted by the next signal. After SIGKILL of
    ansible-playbook its workers live on and would keep writing; the change of the parent's pid tells.
    """
    stop, parent = threading.Event(), os.getppid()
    main = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGINT, signal.SIGTERM) if main else ()
    old = {number: signal.signal(number, lambda *_arguments: stop.set()) for number in signals}
    try:
        yield lambda: stop.is_set() or os.getppid() != parent
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def failure(error: MeshError) -> dict[str, Any]:
    """The failed result of an error: one clear sentence, and structure beside it.

    :returns: ``failed``, ``msg``, ``error`` (the name of its class), and the error's details.
    """
    return {**error.details, "failed": True, "msg": error.message, "error": type(error).__name__}


def defect(error: BaseException) -> str:
    """The sentence for an exception that nobody foresaw, and where it came from.

    Its text stays away, unless Python itself wrote it about names and types: a library may quote the value
    that it stumbled over, which may be a token.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _OURS in frame.filename]
    place = f" at {frames[-1].filename.partition(_OURS)[2]}:{frames[-1].lineno}" if frames else ""
    text = f": {error}" if type(error) in _HARMLESS else ""
    return f"defect in servicemesh.istio, please report it: {type(error).__name__}{place}{text}"


def defect_trace(error: BaseException) -> str:
    """Where an exception that nobody foresaw came from, frame by frame, without its text."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__


def constraints(backend: Any) -> dict[str, Any]:
    """The backend's cross-field rules, as keywords of AnsibleModule and ArgumentSpecValidator.

    :returns: keyword -> its value; only those that the backend has.
    """
    return dict(getattr(backend, "CONSTRAINTS", {}))


def typed_arguments(
    backend: Any, given: Mapping[str, Any], name_of: Callable[[str], str] | None = None
) -> dict[str, Any]:
    """A task's arguments with typed values; ``-e``, surveys and INI inventories hand over text.

    :param name_of: the variable behind an option, for messages; by default what ``VARIABLES`` says.
    :returns: the arguments that are given.
    :raises InputError: with every one that cannot be read, and every required one that is missing.
    """
    variables = getattr(backend, "VARIABLES", {})
    named = name_of or (lambda option: str(variables.get(option, option)))
    typed, problems = typed_options(given, backend.ARGUMENT_SPEC, named)
    refused: list[Problem] = []
    if isinstance(typed.get("catalogue"), Mapping):
        typed["catalogue"] = typed_catalogue(typed["catalogue"], refused)
    # An option that was refused is not missing.
    problems += refused + missing_options({**given, **typed}, backend.ARGUMENT_SPEC, named)
    if problems:
        raise InputError(problems)
    return typed


def pack(files: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """File contents, and options that must not show up in the logged invocation, as one opaque string.

    Masking it cannot mask anything else. It travels in the option ``HANDOVER``.
    """
    text = json.dumps({"files": files, "options": options}, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode()


def unpack(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The counterpart of :func:`pack`.

    :returns: the contents of files by option, and the other options that were packed.
    """
    content = json.loads(zlib.decompress(base64.b64decode(text)))
    return content["files"], content["options"]


def run_module(backend: Any) -> NoReturn:
    """``main()`` of a module: validate, run, exit once.

    Nobody can watch a module; its progress lines travel in the result, where the action plugin prints them.
    """
    module = AnsibleModule(
        argument_spec=backend.ARGUMENT_SPEC, supports_check_mode=True, **constraints(backend)
    )
    lines: list[str] = []
    params = dict(module.params)
    handover = params.pop(HANDOVER, None)
    files, options = unpack(handover) if handover else ({}, {})
    params.update(options)
    module.no_log_values.update(secrets_in(params))
    with stop_signal() as stop:
        context = Context(
            check_mode=module.check_mode,
            diff_mode=module._diff,
            progress=lines.append,
            warn=module.warn,
            environment=dict(os.environ),
            stop=stop,
            files=files,
        )
        try:
            result = backend.run({**params, **typed_arguments(backend, params)}, context)
        except MeshError as error:
            result = failure(error)
        except Exception as error:
            module.fail_json(msg=defect(error))
    if result.get("failed"):
        module.fail_json(**{"msg": "", **result, "progress": lines})
    module.exit_json(**{**result, "progress": lines})
