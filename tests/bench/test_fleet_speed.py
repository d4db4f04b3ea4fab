"""What one cluster more costs: 50 clusters are rendered in a minute, and download once.

CPU seconds of ansible-playbook and all its workers; no cluster is asked. What one cluster alone needs
is measured in the same run; the bounds are on the ratio to it, and on the promised second.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import resource
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))
HOSTS = int(os.environ.get("BENCH_HOSTS", "50"))
PROMISED = 1.0  # CPU seconds for one cluster more


def inventory(directory: Path, hosts: int) -> Path:
    """The example of the collection, with that many clusters."""
    directory.mkdir()
    (directory / "group_vars").symlink_to(ROOT / "inventories" / "example" / "group_vars")
    names = {f"cluster-{number}": {"mesh_name": f"shop-{number}"} for number in range(hosts)}
    shared = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (directory / "hosts.yml").write_text(yaml.safe_dump({"istio": {"hosts": names, "vars": shared}}))
    return directory


def cpu(tmp_path: Path, *arguments: str, env: dict[str, str] | None = None) -> tuple[float, float]:
    """:returns: CPU seconds with all children, and wall."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [PLAYBOOK, *arguments],
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_NOCOLOR": "1",
            **(env or {}),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def test_one_cluster_more_is_rendered_within_a_second(tmp_path):
    render = functools.partial(cpu, tmp_path, "-f", "2", "servicemesh.istio.render")
    target = f"mesh_render_directory={tmp_path / 'rendered'}"
    alone, _wall = render("-i", str(inventory(tmp_path / "one", 1)), "-e", target)
    many, wall = render("-i", str(inventory(tmp_path / "many", HOSTS)), "-e", target)
    more = (many - alone) / (HOSTS - 1)
    print(
        f"render: one cluster {alone:.2f} CPU s; {HOSTS} clusters {many:.1f} CPU s, {wall:.1f} s; "
        f"one more {more:.2f} CPU s, {more / alone:.2f} of a run of its own"
    )
    assert len(list((tmp_path / "rendered").glob("cluster-*/kustomization.yaml"))) == HOSTS
    assert more < PROMISED
    assert more / alone < 0.5


class Counted(http.server.SimpleHTTPRequestHandler):
    """Serves a directory, and counts."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def mirror(tmp_path):
    """A mirror of istioctl: its URL and what was asked of it."""
    directory = tmp_path / "mirror"
    directory.mkdir()
    package = directory / "istioctl-1.0.0-any.tar.gz"
    content = os.urandom(1 << 20)
    with tarfile.open(package, "w:gz") as file:
        member = tarfile.TarInfo("istioctl")
        member.size, member.mode = len(content), 0o755
        file.addfile(member, io.BytesIO(content))
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    (directory / f"{package.name}.sha256").write_text(f"{digest}  {package.name}\n")
    asked: list[str] = []
    handler = type("Handler", (Counted,), {"asked": asked})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=directory)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/{package.name}", asked
    server.shutdown()


def test_all_clusters_download_once(tmp_path, mirror):
    url, asked = mirror
    (tmp_path / "play.yml").write_text(
        yaml.safe_dump(
            [
                {
                    "hosts": "istio",
                    "gather_facts": False,
                    "tasks": [{"servicemesh.istio.download": {"url": url, "member": "istioctl"}}],
                }
            ]
        )
    )
    clusters, cache = inventory(tmp_path / "many", HOSTS), tmp_path / "cache"
    run = functools.partial(
        cpu,
        tmp_path,
        "-i", str(clusters), "-f", "25", "play.yml",
        env={"XDG_CACHE_HOME": str(cache), "HOME": "/nonexistent", "ANSIBLE_HOME": str(tmp_path / "ansible")},
    )  # fmt: skip
    seconds, _wall = run()
    print(f"download: {HOSTS} clusters, {len(asked)} requests, {seconds:.1f} CPU s")
    assert sorted(asked) == sorted([url[url.index("/istioctl") :], f"{url[url.index('/istioctl') :]}.sha256"])
    (program,) = cache.rglob("istioctl")
    program.write_bytes(program.read_bytes()[:-1] + b"x")
    run()
    assert len(asked) == 4, "a damaged copy is fetched again, once for all"
    assert sorted(path.name for path in program.parent.iterdir()) == ["istioctl", "verified.json"]
