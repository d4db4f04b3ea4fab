"""What Python would compile anew in every process, kept for the next one.

Ansible's loader of collections never reads what Python keeps, and a module comes to its target as a zip of
sources: half of a module's time is compiling the same text. ``SITE`` is a sitecustomize for such processes.
Tests alone use it: what users run compiles, as theirs does.
"""

from __future__ import annotations

import os
from pathlib import Path

from .paths import BUILD

SITE = """
import builtins, hashlib, marshal, os, sys
compile_anew = builtins.compile
def compile_once(source, filename, mode, flags=0, dont_inherit=False, *rest, **more):
    if rest or more or flags or mode != "exec" or not dont_inherit or not isinstance(source, (bytes, str)):
        return compile_anew(source, filename, mode, flags, dont_inherit, *rest, **more)
    data = source if isinstance(source, bytes) else source.encode()
    name = str(filename).rpartition(".zip/")[2]  # a zip is somewhere else each time
    digest = hashlib.sha256(data + name.encode() + sys.implementation.cache_tag.encode()).hexdigest()
    path = os.path.join(os.environ["KEPT_CODE"], digest)
    try:
        with open(path, "rb") as file:
            return marshal.load(file)
    except OSError:
        code = compile_anew(source, filename, mode, flags, dont_inherit)
    draft = f"{path}.{os.getpid()}"
    with open(draft, "wb") as file:
        marshal.dump(code, file)
    os.replace(draft, path)
    return code
if "KEPT_CODE" in os.environ:
    builtins.compile = compile_once
"""


def keeping(directory: Path = BUILD / "kept", more: str = "") -> dict[str, str]:
    """The environment of processes that keep it, and find what others of the session have kept.

    :param directory: the test's own, beside those of the others; without one, what suites share.
    :param more: what else is to happen at the start of each Python.
    """
    site, kept = directory / "site", directory.parent / "kept_code"
    site.mkdir(parents=True, exist_ok=True)
    kept.mkdir(exist_ok=True)
    draft = site / f"draft-{os.getpid()}"
    draft.write_text(SITE + more)
    draft.replace(site / "sitecustomize.py")  # at once: processes of another lane may be about to read it
    return {"PYTHONPATH": str(site), "KEPT_CODE": str(kept)}
