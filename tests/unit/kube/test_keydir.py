"""Key files live in a private directory, and only as long as their owner."""

from __future__ import annotations

import fcntl
import os
import stat

from ansible_collections.servicemesh.istio.plugins.module_utils.kube import keydir
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.keydir import (
    GRACE_SECONDS,
    PREFIX,
    KeyDirectory,
    sweep,
)


def test_private_and_removed(tmp_path):
    keys = KeyDirectory(tmp_path)
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o700
    keys.remove()
    keys.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_living_owner_is_left_alone(tmp_path):
    keys = KeyDirectory(tmp_path)
    sweep(tmp_path)
    assert keys.path.is_dir()
    keys.remove()


def test_left_overs_are_removed_by_the_next_one(tmp_path):
    dead = tmp_path / f"{PREFIX}dead"
    dead.mkdir()
    (dead / ".lock").touch()
    (dead / "key").write_text("secret")
    keys = KeyDirectory(tmp_path)
    assert not dead.exists()
    keys.remove()


def test_what_another_user_left_is_not_ours_to_remove(tmp_path, monkeypatch):
    dead = tmp_path / f"{PREFIX}dead"
    dead.mkdir()
    (dead / ".lock").touch()
    monkeypatch.setattr(keydir.os, "geteuid", lambda: os.getuid() + 1)
    sweep(tmp_path)
    assert dead.exists()


def test_a_directory_that_is_just_being_made_is_left_alone(tmp_path):
    young = tmp_path / f"{PREFIX}young"
    young.mkdir()
    sweep(tmp_path)
    assert young.exists()
    old = young.stat().st_mtime - GRACE_SECONDS - 1
    os.utime(young, (old, old))
    sweep(tmp_path)
    assert not young.exists()


def test_a_link_is_never_followed(tmp_path):
    target = tmp_path / "precious"
    target.mkdir()
    (target / ".lock").touch()
    (tmp_path / f"{PREFIX}link").symlink_to(target)
    sweep(tmp_path)
    assert (target / ".lock").exists()


def test_a_lock_that_is_a_link_is_not_opened(tmp_path):
    precious = tmp_path / "precious"
    precious.touch()
    made = tmp_path / f"{PREFIX}made"
    made.mkdir()
    (made / ".lock").symlink_to(precious)
    sweep(tmp_path)
    assert made.is_dir()


def test_who_sweeps_while_a_directory_is_made_leaves_it(tmp_path, monkeypatch):
    """Another run's sweep between the making of the lock and its taking removed the directory."""
    real, swept = fcntl.flock, []

    def late(handle, how):
        if not swept:
            swept.append(True)
            keydir.sweep(tmp_path)
        real(handle, how)

    monkeypatch.setattr(keydir.fcntl, "flock", late)
    made = keydir.KeyDirectory(tmp_path)
    assert swept
    assert made.path.is_dir()
    keydir.sweep(tmp_path)
    assert made.path.is_dir()
    made.remove()
    assert not made.path.exists()
