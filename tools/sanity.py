"""ansible-test sanity, in the directory shape and with the bootstrap file that it insists on."""

from __future__ import annotations

import os
import re
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from .imports import Imports
from .interpreters import path_of_interpreters
from .paths import BUILD, ROOT
from .processes import run
from .screen import say
from .stages import StageError
from .tree import copy_repository

COLLECTION = BUILD / "sanity" / "ansible_collections" / "servicemesh" / "istio"
BOOTSTRAP = "https://ci-files.testing.ansible.com/ansible-test/get-pip-{version}.py"

BY_FILE = ("pep8", "pylint")  # what they say of a file depends on that file
SHIPPED = ("plugins/module_utils/", "plugins/modules/")  # to where a module runs
_LEAST = 20  # sanity tests that there are, at least
# ansible-test fetches a pip of its own from a host that is not always reachable. Where it is not, this stands
# in: the pip that Python carries, which then upgrades itself from the normal package index.
_STAND_IN = '''\
"""Stand-in for ansible-test's pip bootstrap: ensurepip, then pip with the given arguments."""
import os
import subprocess
import sys

for bundle in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"):
    if os.path.exists(bundle):
        os.environ.setdefault("PIP_CERT", bundle)
        break
arguments = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"], stdout=subprocess.DEVNULL)
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "-q", *arguments]))
'''


def sanity(python: Path, core: str, *, newest: bool = True) -> int:
    """Run all sanity tests of this ansible-core, without any ignore entry. Returns how many tests ran.

    ``newest``: whether the unit tests are judged too, and not only what users get, whether what users get can
    be imported where only Ansible is, and whether pylint reads it: these take most of the time. One
    ansible-core and one Python are enough for them: the units of every environment import all files, too.

    The importer is given the files that load all others (`entries`): it forgets all between two files, and
    would load the lowest a hundred times. What pylint and pep8 say of the unit tests is told by ruff's rules
    of both at once, and by ``make campaign`` whole.
    """
    _prepared(python, unit_tests=newest)
    apart = [*BY_FILE, "import"] if newest else ["pylint", "import"]
    ran = _ran(python, core, _LEAST, *(word for name in apart for word in ("--skip-test", name)))
    if not newest:
        return ran
    ran += _ran(python, core, len(BY_FILE), *_tests(BY_FILE), "plugins/")
    return ran + _ran(python, core, 1, *_tests(["import"]), *entries())


def whole(python: Path, core: str) -> int:
    """What takes too long for every day: each file imported by itself, and pylint and pep8 of the unit tests.

    Returns how many tests ran.
    """
    _prepared(python, unit_tests=True)
    return _ran(python, core, len(BY_FILE), *_tests(BY_FILE), "tests/") + _ran(
        python, core, 1, *_tests(["import"]), "plugins/"
    )


def entries(root: Path = ROOT) -> list[str]:
    """The files of plugins/ that load all others.

    Modules and what they share by themselves, for these may import less than other plugins.
    """
    names = [str(path.relative_to(root)) for path in (root / "plugins").rglob("*.py")]
    shared = [name for name in names if name.startswith(SHIPPED)]
    rest = [name for name in names if not name.startswith(SHIPPED)]
    return [*Imports(root, shared).entries(), *Imports(root, rest).entries()]


def _tests(names: Sequence[str]) -> list[str]:
    return [word for name in names for word in ("--test", name)]


def _prepared(python: Path, *, unit_tests: bool) -> None:
    _no_ignore_entries()
    left_out = ["lab", "molecule", "tools", "tests/bench", "tests/faults", "tests/integration"]
    copy_repository(COLLECTION, without=left_out if unit_tests else [*left_out, "tests/unit"])
    for arguments in (("init", "-q"), ("add", "-A")):  # without git, ansible-test finds nothing below "build"
        run(["git", *arguments], cwd=COLLECTION)
    _seed_bootstrap(python)


def _ran(python: Path, core: str, least: int, *which: str) -> int:
    """Run these sanity tests. :returns: how many there were, at `least` so many."""
    only = ["--python", f"{sys.version_info.major}.{sys.version_info.minor}"]
    done = run(
        [python.parent / "ansible-test", "sanity", "--venv", "--color", "no", *only, *which],
        cwd=COLLECTION,
        capture=True,
        environment={"PATH": f"{python.parent}{os.pathsep}{path_of_interpreters()}"},
    )
    ran = len(re.findall(r"^Running sanity test", done.stdout, re.MULTILINE))
    if done.returncode:
        say(done.stdout)
        raise StageError(
            f"ansible-test sanity of ansible-core {core} ended with {done.returncode}", max(ran - 1, 0)
        )
    if ran < least:  # ansible-test passes when it finds nothing to test
        say(done.stdout)
        raise StageError(f"ansible-test of ansible-core {core} ran {ran} sanity tests only")
    return ran


def _no_ignore_entries() -> None:
    for path in sorted((ROOT / "tests" / "sanity").glob("ignore-*.txt")):
        if entries := [line for line in path.read_text().splitlines() if line.strip()]:
            raise StageError(f"{path.name} has {len(entries)} entries: mend the cause instead")


def wanted_pip(python: Path) -> str:
    """The pip version that this environment's ansible-test bootstraps its own environments with."""
    sources = python.parent.parent.glob(
        "lib/python3*/site-packages/ansible_test/_internal/python_requirements.py"
    )
    found = re.search(r"default_packages = dict\(\s*pip='([0-9.]+)'", next(sources).read_text())
    if not found:
        raise StageError("cannot tell which pip this ansible-test wants")
    return found[1]


def _seed_bootstrap(python: Path) -> None:
    """Put the stand-in where ansible-test caches its bootstrap, unless that is there or can be fetched."""
    version = wanted_pip(python)
    cached = Path.home() / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
    if cached.exists():
        return
    try:
        with urllib.request.urlopen(BOOTSTRAP.format(version=version), timeout=5):  # noqa: S310 - https
            return
    except OSError:
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_text(_STAND_IN)
