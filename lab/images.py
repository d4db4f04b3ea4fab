"""The lab's images, and a containerd directory that already holds them.

Importing takes seconds, so it is done once per set of images: the resulting containerd root is kept in the
cache and every cluster starts from a copy that shares its (never rewritten) files by hard links.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import base, containerd
from .archive import File, Image, file_digest, write_archive, write_layer
from .contained import contained
from .errors import LabError
from .places import LAB, cache_root
from .programs import HUB
from .screen import say, timed

PROMETHEUS_TAG = "3.13.5"
KEPT_SETS = 3
LAYOUT = 1  # part of the key: raise it when images are put together differently


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the ingredients are. `istio` maps a version stamp to the directory of its programs."""

    istio: dict[str, Path]
    coredns: Path
    prometheus: Path
    bootstrap: Path

    def key(self) -> str:
        """Changes with any ingredient (the directories of programs are named by a hash of their inputs)."""
        own = [file_digest(path) for path in (LAB / "shop" / "service.py", busybox())]
        inputs = [
            LAYOUT,
            sorted((stamp, path.name) for stamp, path in self.istio.items()),
            [self.coredns.name, self.prometheus.name, base.base_key(), base.ENVOY, *own],
        ]
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]


def busybox() -> Path:
    """The static busybox of Debian, in either of the places where it has been."""
    for path in (Path("/usr/bin/busybox"), Path("/bin/busybox")):
        if path.is_file():
            return path
    raise LabError("busybox is missing: apt-get install busybox-static")


def references(stamps: Sequence[str]) -> list[str]:
    """What can be run in the lab."""
    istio = [f"{HUB}/{name}:{stamp}" for stamp in stamps for name in ("pilot", "proxyv2")]
    return [
        containerd.PAUSE_IMAGE,
        f"{HUB}/coredns:1",
        f"{HUB}/prometheus:{PROMETHEUS_TAG}",
        f"{HUB}/service:1",
        *istio,
    ]


def image_set(parts: Parts, work: Path) -> list[Image]:
    """Every image, with its own layer written below `work`."""
    debian, envoy = base.base_layer(), base.envoy_binary()

    def layer(name: str, *files: File) -> Path:
        return write_layer(work / f"{name}.layer.tar", files)

    images = [
        # busybox looks at the name it is called by: the file must be called `sleep`
        Image(containerd.PAUSE_IMAGE, (layer("pause", File("sleep", busybox())),), ("/sleep", "2147483647")),
        Image(
            f"{HUB}/coredns:1", (layer("coredns", File("coredns", parts.coredns / "coredns")),), ("/coredns",)
        ),
        Image(
            f"{HUB}/prometheus:{PROMETHEUS_TAG}",
            (
                layer(
                    "prometheus",
                    File("bin/prometheus", parts.prometheus / "prometheus"),
                    File("prometheus", None, 0o1777),
                    File("tmp", None, 0o1777),
                ),
            ),
            ("/bin/prometheus",),
            user="65534:65534",
            extra={"WorkingDir": "/prometheus"},
        ),
        Image(
            f"{HUB}/service:1",
            (debian, layer("service", File("app/service.py", LAB / "shop" / "service.py", 0o644))),
            ("/usr/bin/python3", "-u", "/app/service.py"),
            user="1000:1000",
        ),
    ]
    for stamp, programs in parts.istio.items():
        pilot = layer(
            f"pilot-{stamp}",
            File("usr/local/bin/pilot-discovery", programs / "pilot-discovery"),
            File("tmp", None, 0o1777),
        )
        proxy = layer(
            f"proxyv2-{stamp}",
            File("usr/local/bin/pilot-agent", programs / "pilot-agent"),
            File("usr/local/bin/envoy", envoy),
            File("var/lib/istio/envoy/envoy_bootstrap_tmpl.json", parts.bootstrap, 0o644),
        )
        images += [
            Image(f"{HUB}/pilot:{stamp}", (pilot,), ("/usr/local/bin/pilot-discovery",), user="1337:1337"),
            Image(
                f"{HUB}/proxyv2:{stamp}", (debian, proxy), ("/usr/local/bin/pilot-agent",), user="1337:1337"
            ),
        ]
    return images


def prepared(parts: Parts) -> Path:
    """A directory whose `root` is a containerd root with all images imported and unpacked."""
    target = cache_root() / "images" / parts.key()
    if target.is_dir():
        target.touch()
        say("images: reused")
        return target
    draft = target.with_name(target.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    with timed(f"images: writing {', '.join(references(list(parts.istio)))}"):
        work = draft / "work"
        work.mkdir()
        archive = work / "images.tar"
        write_archive(archive, image_set(parts, work))
    with timed("images: importing into containerd"):
        _import(draft, archive)
    shutil.rmtree(work)
    (draft / "references.json").write_text(json.dumps(references(list(parts.istio))))
    draft.rename(target)
    _forget_old(target.parent)
    return target


def _forget_old(directory: Path) -> None:
    """Keep the sets used last; a cluster that runs on an older one has its own links to the files."""
    by_use = sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_use[KEPT_SETS:]:
        shutil.rmtree(path, ignore_errors=True)


def _import(directory: Path, archive: Path) -> None:
    """Run containerd in namespaces of its own just for the import; its end leaves no process and no mount."""
    status, configuration = directory / "work" / "status.json", directory / "work" / "containerd.toml"
    configuration.write_text(containerd.config(directory, directory / "work" / "cni"))
    plan = {
        "status": str(status),
        "logs": str(directory / "work"),
        "stay": False,
        "steps": [
            {"run": ["mount", "--make-rprivate", "/"]},
            {"run": ["mount", "-t", "tmpfs", "tmpfs", "/run"]},
            {"start": "containerd", "argv": ["containerd", "-c", str(configuration)]},
            {"wait": "containerd", "exec": containerd.ctr(directory, "version"), "timeout": 30},
            {
                "run": containerd.ctr(
                    directory, "images", "import", "--snapshotter", "overlayfs", str(archive)
                )
            },
        ],
    }
    plan_file = directory / "work" / "plan.json"
    plan_file.write_text(json.dumps(plan))
    command = contained([sys.executable, "-I", str(LAB / "init.py"), str(plan_file)], network=False)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        error = json.loads(status.read_text()).get("error") if status.is_file() else done.stderr.strip()
        raise LabError(f"importing the images failed: {error}")
    shutil.rmtree(directory / "state", ignore_errors=True)


def copy_root(prepared_directory: Path, target: Path) -> None:
    """Give a cluster its containerd root: hard links to the cache, copies of the databases it will change."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    source = prepared_directory / "root"
    linked = ["cp", "-a", "--link", f"{source}/.", str(target)]
    if subprocess.run(linked, capture_output=True, check=False).returncode:
        # another file system, or one without hard links
        shutil.rmtree(target)
        target.mkdir()
        subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)
        return
    for database in target.rglob("*.db"):
        if "snapshots" not in database.relative_to(target).parts:
            draft = database.with_suffix(".copy")
            shutil.copy2(database, draft)
            draft.replace(database)
