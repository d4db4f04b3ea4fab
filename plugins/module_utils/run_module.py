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
import hashlib
import json
import os
import re
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
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


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


def printable(value: Any) -> Any:
    """A value whose texts cannot drive a terminal: what came from a cluster may hold escapes.

    :returns: a copy; control characters but tabs and line breaks stand as ``\\x1b``.
    """
    if isinstance(value, str):
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value)
    if isinstance(value, Mapping):
        return {printable(key): printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [printable(item) for item in value]
    return value


def defect(error: BaseException) -> str:
    """The sentence for an exception that nobody foresaw: its type, where it came from, and an id.

    Its text stays away: whoever wrote it may have quoted the value that it stumbled over, which may be a
    token. The id is the same for the same way to the same place.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _OURS in frame.filename]
    places = [f"{frame.filename.partition(_OURS)[2]}:{frame.lineno}" for frame in frames]
    place = f" at {places[-1]}" if places else ""
    name = (
        getattr(error, "name", None) if isinstance(error, ImportError | AttributeError | NameError) else None
    )
    about = f" ('{name}')" if isinstance(name, str) and name.replace(".", "_").isidentifier() else ""
    number = hashlib.sha256("\n".join([type(error).__name__, *places]).encode()).hexdigest()[:8]
    return (
        f"defect in servicemesh.istio, please report it: {type(error).__name__}{about}{place} (id {number}); "
        "-vvv shows the way there"
    )


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
    if isinstance(typed.get("catalogue"), Mapping) and not getattr(backend, "TELLS_ALL", False):
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


class _Module(AnsibleModule):
    """A module that tells nobody what it was given.

    Ansible writes the options of a module into the target's system log, and into the result of an
    asynchronous task; but for ``no_log`` it does not know which of them hold secrets, and where.
    """

    def _log_invocation(self) -> None:
        given = sorted(name for name, value in self.params.items() if value is not None and name != HANDOVER)
        self.log(  # type: ignore[no-untyped-call]  # ansible-core has no types here
            f"Invoked with the options {', '.join(given) or 'none'}"
        )

    def _return_formatted(self, kwargs: dict[str, Any]) -> None:
        super()._return_formatted({**kwargs, "invocation": {}})  # type: ignore[no-untyped-call]  # as above


def run_module(backend: Any) -> NoReturn:
    """``main()`` of a module: validate, run, exit once.

    Nobody can watch a module; its progress lines travel in the result, where the action plugin prints them.
    """
    module: AnsibleModule = _Module(  # type: ignore[no-untyped-call]  # as above
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
            warn=lambda text: module.warn(str(printable(text))),
            environment=dict(os.environ),
            stop=stop,
            files=files,
        )
        result = _outcome(backend, params, context)
    result = {**printable(result), "progress": printable(lines)}
    # Outside of the handler: Ansible would add the text of the exception that is being handled.
    if result.get("failed"):
        module.fail_json(**{"msg": "", **result})
    module.exit_json(**result)


def _outcome(backend: Any, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    try:
        found: dict[str, Any] = backend.run({**params, **typed_arguments(backend, params)}, context)
    except MeshError as error:
        return failure(error)
    except Exception as error:
        return {"failed": True, "msg": defect(error), "trace": defect_trace(error)}
    return found
