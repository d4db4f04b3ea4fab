"""Keys of builds, image archives and what the machine must offer."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import shutil
import tarfile
import tempfile
from pathlib import Path

import pytest

from lab import programs, requirements
from lab.archive import SEARCH_PATH, File, Image, write_archive, write_layer
from lab.contained import contained
from lab.errors import LabError
from lab.everything import point
from lab.golang import Go, parse_version
from lab.host import overlapping
from lab.images import copy_root, references

GO = Go("/usr/bin/go", "go1.26.8")


def test_a_build_key_follows_its_inputs_and_nothing_else(tmp_path, monkeypatch):
    source = programs.LAB
    monkeypatch.setattr(programs, "LAB", tmp_path)
    shutil.copytree(source / "tools" / "etcd", tmp_path / "tools" / "etcd")
    key = programs.build_key(programs.ETCD, GO)
    assert programs.build_key(programs.ETCD, Go("/elsewhere/go", "go1.26.8")) == key
    assert programs.build_key(programs.ETCD, Go("/usr/bin/go", "go1.27.0")) != key
    (tmp_path / "tools" / "etcd" / "notes.txt").write_text("no input")
    assert programs.build_key(programs.ETCD, GO) == key
    with (tmp_path / "tools" / "etcd" / "go.sum").open("a") as sums:
        sums.write("\n")
    assert programs.build_key(programs.ETCD, GO) != key


def test_a_stamp_names_the_same_source_differently():
    one, other = programs.istio_module("1.31.0"), programs.istio_module("1.31.1")
    assert one.directory == other.directory
    assert programs.build_key(one, GO) != programs.build_key(other, GO)
    assert "-X istio.io/istio/pkg/version.buildVersion=1.31.1" in other.arguments()[-1]


def test_kubernetes_reports_its_version():
    flags = programs.kubernetes_module().arguments()[-1]
    assert "-X k8s.io/component-base/version.gitVersion=v1.36.3" in flags
    assert "-X k8s.io/component-base/version.gitMinor=36" in flags
    assert "-X k8s.io/client-go/pkg/version.gitVersion=v1.36.3" in flags


def test_every_module_is_in_the_repository_and_pins_what_it_builds():
    modules = [programs.ETCD, programs.COREDNS, programs.HELM, programs.PROMETHEUS, programs.JAEGER]
    for module in [*modules, programs.kubernetes_module(), programs.istio_module()]:
        text = (module.directory / "go.mod").read_text()
        tools = [line.split()[-1] for line in text.splitlines() if line.startswith(("tool ", "\t"))]
        built = {tool.rstrip("v0123456789").rstrip("/").rpartition("/")[2] for tool in tools}
        own = {package.rpartition("/")[2] for package in module.packages}
        assert set(module.binaries) - own <= built, module.name
        assert (module.directory / "go.sum").is_file()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.27rc1 linux/amd64", (1, 27)),
        ("go version devel", None),
        ("", None),
    ],
)
def test_a_go_version_is_read_from_what_it_prints(text, version):
    assert parse_version(text) == version


def test_a_go_build_does_not_depend_on_the_persons_settings(monkeypatch):
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setenv("CGO_ENABLED", "1")
    environment = GO.environment()
    assert (environment["CGO_ENABLED"], environment["GOFLAGS"], environment["GOWORK"]) == ("0", "", "off")
    assert environment["PATH"].startswith("/usr/bin")


@pytest.fixture
def layers(tmp_path):
    source = tmp_path / "program"
    source.write_text("content")
    shared = write_layer(tmp_path / "shared.tar", [File("bin/program", source), File("tmp", None, 0o1777)])
    top = write_layer(tmp_path / "top.tar", [File("etc/config", source, 0o644)])
    return shared, top


def test_an_archive_shares_layers_and_names_them_by_digest(tmp_path, layers):
    shared, top = layers
    images = [
        Image("lab.local/one:1", (shared,), ("/bin/program",)),
        Image("lab.local/two:1", (shared, top), ("/bin/program", "-v"), user="1337:1337"),
    ]
    write_archive(tmp_path / "images.tar", images)
    with tarfile.open(tmp_path / "images.tar") as tar:
        names = tar.getnames()
        manifest = json.load(tar.extractfile("manifest.json"))
        configs = {entry["RepoTags"][0]: json.load(tar.extractfile(entry["Config"])) for entry in manifest}
        for entry in manifest:
            content = tar.extractfile(entry["Config"]).read()
            assert entry["Config"] == hashlib.sha256(content).hexdigest() + ".json"
            for layer in entry["Layers"]:
                assert hashlib.sha256(tar.extractfile(layer).read()).hexdigest() == layer.split("/")[0]
    assert len([name for name in names if name.endswith("layer.tar")]) == 2
    two = configs["lab.local/two:1"]
    assert two["config"] == {
        "Entrypoint": ["/bin/program", "-v"],
        "Env": [SEARCH_PATH],
        "User": "1337:1337",
    }
    assert [digest.split(":")[1] + "/layer.tar" for digest in two["rootfs"]["diff_ids"]] == manifest[1][
        "Layers"
    ]


def test_an_archive_of_equal_content_is_equal(tmp_path, layers):
    shared, _unused = layers
    again = write_layer(
        tmp_path / "again.tar", [File("bin/program", tmp_path / "program"), File("tmp", None, 0o1777)]
    )
    assert shared.read_bytes() == again.read_bytes()


def test_a_layer_keeps_modes_and_no_owner(layers):
    with tarfile.open(layers[0]) as tar:
        program, directory = tar.getmember("bin/program"), tar.getmember("tmp")
    assert (program.mode, program.uid, program.mtime) == (0o755, 0, 0)
    assert directory.isdir() and directory.mode == 0o1777


def test_a_cluster_shares_blobs_but_owns_its_databases(tmp_path):
    source = tmp_path / "prepared" / "root"
    (source / "blobs").mkdir(parents=True)
    (source / "blobs" / "sha").write_text("layer")
    (source / "bolt").mkdir()
    (source / "bolt" / "meta.db").write_text("database")
    (source / "snapshots" / "1" / "fs").mkdir(parents=True)
    (source / "snapshots" / "1" / "fs" / "rpm.db").write_text("file of an image")
    target = tmp_path / "cluster" / "root"
    for _unused in (1, 2):  # the second replaces the first
        copy_root(tmp_path / "prepared", target)
    assert (target / "blobs" / "sha").samefile(source / "blobs" / "sha")
    assert (target / "snapshots" / "1" / "fs" / "rpm.db").samefile(
        source / "snapshots" / "1" / "fs" / "rpm.db"
    )
    (target / "bolt" / "meta.db").write_text("changed")
    assert (source / "bolt" / "meta.db").read_text() == "database"


def test_a_cluster_on_another_file_system_gets_copies(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "meta.db").write_text("database")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        copy_root(tmp_path, Path(elsewhere) / "root")
        copy = Path(elsewhere) / "root" / "meta.db"
        assert copy.read_text() == "database"
        assert not copy.samefile(tmp_path / "root" / "meta.db")


def test_the_images_of_every_stamp_are_there():
    names = references(["1.31.0", "1.31.1"])
    assert {"lab.local/pilot:1.31.1", "lab.local/proxyv2:1.31.0", "lab.local/service:1"} <= set(names)
    assert len(names) == len(set(names))


def test_a_builder_ends_with_its_caller_and_without_mounts():
    command = contained(["go", "build"], network=False)
    assert command[:3] == ["setpriv", "--pdeathsig", "KILL"]
    assert {"--kill-child", "--mount", "--pid", "--net"} < set(command)
    assert command[-2:] == ["go", "build"]
    assert "--net" not in contained(["go"])


def test_missing_capabilities_are_named():
    assert requirements.missing_capabilities("Name:\tx\nCapEff:\t000001ffffffffff\n") == []
    assert requirements.missing_capabilities("CapEff:\t00000000a80425fb\n") == [
        "CAP_NET_ADMIN",
        "CAP_SYS_PTRACE",
        "CAP_SYS_ADMIN",
    ]


def test_too_little_memory_is_one_sentence():
    meminfo = "MemTotal:  4000000 kB\nMemAvailable:  1048576 kB\n"
    requirements.check_memory(requirements.GIB, meminfo)
    with pytest.raises(LabError, match=r"too little memory: 3.0 GiB needed, 1.0 GiB available"):
        requirements.check_memory(3 * requirements.GIB, meminfo)


def test_too_little_disk_space_names_the_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "not" / "yet"))
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    usage = type("Usage", (), {"free": requirements.GIB * 3})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    requirements.check_disk(first_build=False)
    with pytest.raises(LabError, match=r"not/yet: 12 GiB needed, 3.0 GiB free"):
        requirements.check_disk(first_build=True)


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("platform", "darwin", "needs Linux"),
        ("euid", 1000, "needs root"),
        ("machine", "riscv64", "x86_64 only"),
    ],
)
def test_what_cannot_be_helped_is_one_sentence(monkeypatch, attribute, value, said):
    if attribute == "platform":
        monkeypatch.setattr(requirements.sys, "platform", value)
    monkeypatch.setattr(requirements.os, "geteuid", lambda: value if attribute == "euid" else 0)
    machine = type("Uname", (), {"machine": value if attribute == "machine" else "x86_64"})
    monkeypatch.setattr(requirements.os, "uname", lambda: machine)
    with pytest.raises(LabError, match=said) as caught:
        requirements.check_system()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["/run/lab", "/var/log/x", "/srv/a:b", "/srv/with space", "/srv/" + "x" * 60]
)
def test_directories_that_a_cluster_cannot_live_in(monkeypatch, tmp_path, path):
    requirements.check_places()
    monkeypatch.setenv("LAB_STATE", path)
    with pytest.raises(LabError, match="LAB_STATE cannot be"):
        requirements.check_places()


def test_routes_of_the_host_that_overlap_are_found():
    mine = [ipaddress.ip_network("10.96.0.0/16"), ipaddress.ip_network("10.244.0.0/24")]
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "192.0.2.0/24", "dev": "eth0"},
        {"dst": "10.244.1.0/24", "dev": "lab-up1"},
        {"dst": "10.244.0.0/24", "dev": "lab-up0"},
    ]
    assert overlapping(routes, mine, "lab-up0") is None
    assert overlapping(routes, mine, "lab-up5") == ("10.244.0.0/24", "10.244.0.0/24")
    assert overlapping([{"dst": "10.0.0.0/8", "dev": "tun0"}], mine, "lab-up0") == (
        "10.0.0.0/8",
        "10.96.0.0/16",
    )
    assert overlapping([{"dst": "10.96.0.7", "dev": "tun0"}], mine, "lab-up0") == (
        "10.96.0.7",
        "10.96.0.0/16",
    )


def test_a_link_is_moved_without_a_gap(tmp_path):
    link = tmp_path / "bin" / "tool"
    for version in ("1", "2"):
        (tmp_path / version).write_text(version)
        point(link, tmp_path / version)
        assert link.read_text() == version
    assert [path.name for path in link.parent.iterdir()] == ["tool"]
