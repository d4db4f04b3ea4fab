"""Packages into a virtual environment: by uv, several times as fast as pip, where it can stand in for it.

Who has told pip where packages come from has told uv nothing, so uv is told the same. Where pip is told more
than uv can be, pip works: nobody's packages come from an index that their own settings leave out. And where
uv fails, pip is asked again, and what it says is what people read.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .paths import REQUIREMENTS, VENV

UV = VENV / "bin" / "uv"
_PIP = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
# An option of pip -> the variable of uv that says the same, and what separates its entries.
_SAID = {
    "cert": ("SSL_CERT_FILE", None),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "index-url": ("UV_DEFAULT_INDEX", None),
}
# These do not decide what is installed.
_ASIDE = frozenset(
    (
        *("break-system-packages", "cache-dir", "compile", "default-timeout", "disable-pip-version-check"),
        *(
            "no-cache-dir",
            "no-color",
            "no-compile",
            "no-input",
            "progress-bar",
            "quiet",
            "require-virtualenv",
        ),
        *("retries", "root-user-action", "timeout", "verbose"),
    )
)
_SECTIONS = ("global", "install", ":env:")  # the strongest last; pip lists them by name
_OPTION = re.compile(r"^([^.\s]+)\.(\S+)=('.*'|\".*\")$", re.MULTILINE)


def install(python: Path, sets: Sequence[str]) -> str:
    """Install requirement sets. :param python: of the environment. :param sets: files, without ``.txt``.

    :returns: what the package index or the installer refused; empty when all is there.
    """
    files = [argument for name in sets for argument in ("-r", str(REQUIREMENTS / f"{name}.txt"))]
    if _by_uv(python, files):
        return ""
    done = _pip(python, "install", "-q", "--no-input", *files)
    return (done.stderr or f"pip ended with {done.returncode}") if done.returncode else ""


def _by_uv(python: Path, files: Sequence[str]) -> bool:
    """Whether uv has installed them. It lies in the main environment, which is made first."""
    told = _pip(python, "config", "list")
    said = None if told.returncode else settings(told.stdout)
    if said is None:
        return False
    if python.parent == UV.parent:
        asked = ("-q", "--no-input", "--retries", "0", "-r", str(REQUIREMENTS / "installer.txt"))
        if _pip(python, "install", *asked).returncode:
            return False
    # What is copied can be edited without a change of uv's cache. Python compiles what it is asked for.
    options = ("--quiet", "--no-config", "--link-mode", "copy", "--index-strategy", "unsafe-best-match")
    command = [str(UV), "pip", "install", *options, "--python", str(python), *files]
    try:
        done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, **said})
    except OSError:
        return False
    return not done.returncode


def settings(listed: str) -> Mapping[str, str] | None:
    """What pip is told about where packages come from, in uv's words.

    :param listed: the output of ``pip config list``.
    :returns: variables of uv; None when pip is told what uv cannot be.
    """
    told = {
        option: ast.literal_eval(text)
        for strength in _SECTIONS
        for section, option, text in _OPTION.findall(listed)
        if section == strength and option not in _ASIDE
    }
    if not told.keys() <= _SAID.keys():
        return None
    found = {}
    for option, value in told.items():
        variable, separator = _SAID[option]
        found[variable] = separator.join(str(value).split()) if separator else str(value)
    return found


def _pip(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-m", "pip", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **_PIP})
