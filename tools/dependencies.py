"""The tree `collections/ansible_collections`: this checkout as a link, kubernetes.core from Galaxy or PyPI.

Galaxy is the normal source. Where it cannot be reached, the same collection is taken out of the `ansible`
wheel, and an offline `ansible-galaxy collection install` then asserts that the version is in our range.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import urllib.request
import zipfile
from pathlib import Path

from .paths import BUILD, COLLECTIONS, ROOT
from .screen import SetupError, say, timed

TREE = COLLECTIONS / "ansible_collections"
RANGE = (
    "kubernetes.core:>=6.4.0,<8.0.0"  # as in galaxy.yml and collections/requirements.yml (a test compares)
)
WHEEL = "ansible==14.5.0"  # the major belongs to the core minor: 14 to 2.21, 13 to 2.20
GALAXY = "https://galaxy.ansible.com/api/"


def collections(python: Path, command: str) -> None:
    """Make the tree complete. `python`: of an environment with ansible-core and pip."""
    link_checkout()
    if _satisfied(python):
        return
    with timed("kubernetes.core"):
        if not (_galaxy_answers() and _from_galaxy(python)):
            say("    Ansible Galaxy does not answer; taking the collection out of the ansible wheel")
            _from_wheel(python, command)
        if not _satisfied(python):
            raise SetupError(f"make {command} found no {RANGE} at Galaxy or in {WHEEL}")


def link_checkout() -> None:
    """`collections/ansible_collections/servicemesh/istio` is this checkout, wherever it was moved to."""
    link = TREE / "servicemesh" / "istio"
    target = os.path.relpath(ROOT, link.parent)
    if link.is_symlink() and str(link.readlink()) == target:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()
    elif link.exists():  # an installed copy of an older state would hide the checkout
        shutil.rmtree(link)
    link.symlink_to(target)


def _satisfied(python: Path) -> bool:
    """Whether an offline install has nothing to do: it knows ranges and needs no network for that."""
    manifest = TREE / "kubernetes" / "core" / "MANIFEST.json"
    if not manifest.is_file():
        return False
    proof = hashlib.sha256(f"{RANGE} {manifest.read_text()}".encode()).hexdigest()
    stamp = TREE / ".kubernetes-core-in-range"
    if stamp.is_file() and stamp.read_text() == proof:
        return True
    if not _galaxy_install(python, "--offline", timeout=60):
        return False
    stamp.write_text(proof)
    return True


def _galaxy_install(python: Path, *options: str, timeout: int) -> bool:
    command = [
        str(python.parent / "ansible-galaxy"),
        "collection",
        "install",
        RANGE,
        "-p",
        str(COLLECTIONS),
        *options,
    ]
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    }
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=timeout, env=environment, cwd=ROOT
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _galaxy_answers() -> bool:
    """A quick look, through the person's proxy settings, before ansible-galaxy starts its long retries."""
    if os.environ.get("ANSIBLE_GALAXY_SERVER_LIST"):
        return True  # a private server: let ansible-galaxy speak to it
    try:
        with urllib.request.urlopen(GALAXY, timeout=5) as answer:
            return int(answer.status) == 200
    except OSError:
        return False


def _from_galaxy(python: Path) -> bool:
    return _galaxy_install(python, "--timeout", "20", timeout=180)


def _from_wheel(python: Path, command: str) -> None:
    if trouble := out_of_wheel(python, WHEEL, "kubernetes/core", TREE):
        raise SetupError(
            f"make {command} needs the collection kubernetes.core: neither Galaxy nor the index answers "
            f"({trouble})"
        )


def out_of_wheel(python: Path, wheel: str, collection: str, tree: Path) -> str:
    """Take one collection out of an `ansible` wheel. What is there is replaced as a whole.

    :param collection: ``kubernetes/core``. :param tree: an `ansible_collections`.
    :returns: why the index did not give the wheel; empty when all went well.
    """
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="wheel-") as directory:
        done = subprocess.run(
            [str(python), "-m", "pip", "download", "-q", "--no-deps", "--dest", directory, wheel],
            capture_output=True,
            text=True,
            check=False,
        )
        wheels = list(Path(directory).glob("*.whl"))
        if done.returncode or not wheels:
            return f"{done.stderr.strip().splitlines()[-1:]}"
        prefix = f"ansible_collections/{collection}/"
        with zipfile.ZipFile(wheels[0]) as archive:
            archive.extractall(directory, [name for name in archive.namelist() if name.startswith(prefix)])
        target = tree / collection
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        (Path(directory) / prefix).rename(target)
    return ""
