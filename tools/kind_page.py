"""The guide's way to a mesh on kind, line by line, with a cluster of the lab in place of kind's."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from functools import partial

import yaml

from lab.places import cache_root

from . import lab
from .paths import BUILD, ROOT
from .reader import Reader, lab_only, shell_lines
from .stages import StageError

PAGE = ROOT / "docs" / "guides" / "kind.md"
DIRECTORY = BUILD / "kind"
FORWARDED = 30.0  # seconds until kubectl has opened the port


def files(text: str) -> dict[str, str]:
    """The files that the page gives: each YAML block belongs to the last `name` before it."""
    found = {}
    for match in re.finditer(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        named = re.findall(r"`([\w/]+\.ya?ml)`", text[: match.start()])
        found[named[-1]] = match[1]
    return found


def walk(cluster: str) -> int:
    """Type every line; the request at the end must be answered, and a second `site` changes nothing.

    :returns: how many lines held.
    """
    lab.down(cluster)
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    (DIRECTORY / "home").mkdir(parents=True)
    reader = Reader(DIRECTORY, {"kubectl": cache_root() / "bin" / "kubectl"})
    reader.environment["HOME"] = str(DIRECTORY / "home")
    extra = reader.programs / "lab.yml"
    extra.write_text(yaml.safe_dump(lab_only()), encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    lines = shell_lines(text)
    background = []
    try:
        for line in lines:
            match line.split():
                case ["kind", "create", "cluster", *_]:
                    lab.up(cluster)
                    reader.environment["KUBECONFIG"] = str(lab.kubeconfig(cluster, "admin"))
                case ["kind", "get", "kubeconfig", *_]:
                    (DIRECTORY / "mesh" / "kind.cfg").write_text(lab.kubeconfig(cluster, "admin").read_text())
                    _write(text)
                case ["ansible-galaxy", *_]:
                    reader.installs(line, DIRECTORY / "home" / ".ansible" / "collections")
                case ["ansible-playbook", *_]:
                    reader.types(f"{line} -e @{extra}")
                case [*_, "&"]:
                    background.append(reader.starts(line.removesuffix("&")))
                case ["curl", *_]:
                    _soon(partial(reader.types, f"{line} --fail --silent --show-error"))
                case _:
                    reader.types(line)
    finally:
        for process in background:
            process.terminate()
            process.wait()
    again = reader.types(f"ansible-playbook servicemesh.istio.site -i mesh -e @{extra}")
    if not re.search(r"^kind +: ok=\d+ +changed=0 .*failed=0", again, re.MULTILINE):
        raise StageError(f"site changed something when it was run again:\n{again[-3000:]}")
    return len(lines)


def _write(text: str) -> None:
    """The page's files; the image of its service is one of the lab's, which has no registry."""
    wanted = {"mesh/hosts.yml", "mesh/group_vars/all/istio.yml", "mesh/group_vars/all/mesh.yml", "hello.yaml"}
    found = files(text)
    if set(found) != wanted:
        raise StageError(f"{PAGE.name} gives {sorted(found)}, not {sorted(wanted)}")
    for name, content in found.items():
        (DIRECTORY / name).write_text(of_the_lab(content) if name == "hello.yaml" else content)


def of_the_lab(manifest: str) -> str:
    """The manifest with a program that the lab's one image has."""
    documents = list(yaml.safe_load_all(manifest))
    (container,) = documents[-1]["spec"]["template"]["spec"]["containers"]
    container["image"] = lab_only()["verify_probe_image"]
    port = container["args"][-1].removeprefix("--http-port=")
    container["command"] = ["python3", "-m", "http.server", "--directory", "/bin"]
    container["args"] = [port]
    return yaml.safe_dump_all(documents)


def _soon(call: Callable[[], object]) -> None:
    """What works as soon as a port is open."""
    until = time.monotonic() + FORWARDED
    while True:
        try:
            call()
        except StageError:
            if time.monotonic() > until:
                raise
            time.sleep(1)
        else:
            return
