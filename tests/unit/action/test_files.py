"""Vaulted files and templates, opened and rendered where the passwords and variables are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.template import Templar
from ansible_collections.servicemesh.istio.plugins.action.resources import ActionModule
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.plugin_utils.templates import template_entries
from ansible_collections.servicemesh.istio.plugins.plugin_utils.vault import opened, opened_kubeconfig

SECRET = [("default", VaultSecret(b"pass"))]


def vaulted(text: str) -> bytes:
    return bytes(VaultLib(SECRET).encrypt(text, SECRET[0][1]))


def loader(base: Path, secrets: Any = None) -> DataLoader:
    found = DataLoader()
    found.set_basedir(str(base))
    found.set_vault_secrets(SECRET if secrets is None else secrets)
    return found


class Action(ActionModule):
    """The action without a play around it."""

    def __init__(self, base: Path, **variables: Any) -> None:
        self._loader = loader(base)
        self._variables = variables
        self._templar = Templar(loader=self._loader, variables=variables)
        self._task = SimpleNamespace(async_val=0, args={})
        self._base = base

    def _find_needle(self, dirname: str, needle: str) -> str:
        from ansible.errors import AnsibleError

        for place in (self._base / dirname / needle, self._base / needle):
            if place.exists():
                return str(place)
        raise AnsibleError(f"no {needle}")


class TestVault:
    def test_a_file_is_opened_and_marked(self, tmp_path: Path) -> None:
        (tmp_path / "a.yml").write_bytes(vaulted("a: s3cret"))
        (tmp_path / "b.yml").write_text("b: plain")
        files = Action(tmp_path).read_files({"src": [str(tmp_path / "a.yml"), str(tmp_path / "b.yml")]})
        assert files["src"] == [
            {"path": str(tmp_path / "a.yml"), "text": "a: s3cret", "hidden": "yes"},
            {"path": str(tmp_path / "b.yml"), "text": "b: plain"},
        ]
        assert type(files["src"][0]["text"]).__name__ == "str", "without tags of Ansible"

    def test_a_catalogue_is_opened(self, tmp_path: Path) -> None:
        (tmp_path / "mesh.yml").write_bytes(vaulted("mesh_name: shop"))
        files = Action(tmp_path).read_files({"catalogue_src": str(tmp_path / "mesh.yml")})
        assert files["catalogue_src"][0]["text"] == "mesh_name: shop"

    @pytest.mark.parametrize("secrets", [[], [("default", VaultSecret(b"wrong"))]])
    def test_without_its_password_one_sentence_says_so(self, tmp_path: Path, secrets: Any) -> None:
        (tmp_path / "a.yml").write_bytes(vaulted("a: s3cret"))
        with pytest.raises(
            InputError, match="encrypted with Ansible Vault, and no password of this run opens"
        ):
            opened(tmp_path / "a.yml", loader(tmp_path, secrets))

    def test_a_kubeconfig_is_a_mapping_with_absolute_paths(self, tmp_path: Path) -> None:
        text = (
            "clusters: [{name: c, cluster: {certificate-authority: ca.crt}}]\n"
            "users: [{name: u, user: {token: t, client-key: /abs/key}}, null,\n"
            "  {name: v, user: {exec: {command: ./bin/login}}}, {name: w, user: {exec: {command: aws}}}]\n"
        )
        path = tmp_path / "config"
        path.write_bytes(vaulted(text))
        found = opened_kubeconfig(str(path), loader(tmp_path))
        assert found["clusters"][0]["cluster"]["certificate-authority"] == str(tmp_path / "ca.crt")
        assert found["users"][0]["user"] == {"token": "t", "client-key": "/abs/key"}
        commands = [user["user"]["exec"]["command"] for user in found["users"][2:]]
        assert commands == [str(tmp_path / "bin" / "login"), "aws"]
        path.write_text(text)
        assert opened_kubeconfig(str(path), loader(tmp_path)) == str(path)
        assert opened_kubeconfig("/nowhere", loader(tmp_path)) == "/nowhere"
        path.write_bytes(vaulted("- a"))
        with pytest.raises(InputError, match="holds no kubeconfig"):
            opened_kubeconfig(str(path), loader(tmp_path))


class TestTemplates:
    def test_variables_and_includes(self, tmp_path: Path) -> None:
        folder = tmp_path / "templates"
        folder.mkdir()
        (folder / "part.j2").write_text("x: 1\n")
        (folder / "a.yml.j2").write_text("name: {{ who }}\n{% include 'part.j2' %}")
        action = Action(tmp_path, who="web", ansible_search_path=[str(tmp_path)])
        (source,) = action.read_files({"template": "a.yml.j2"})["template"]
        assert source == {"path": f"{folder}/a.yml.j2 (rendered)", "text": "name: web\nx: 1"}
        assert type(source["text"]).__name__ == "str", "without tags of Ansible"

    def test_settings_of_jinja_and_a_vaulted_template(self, tmp_path: Path) -> None:
        (tmp_path / "a.j2").write_bytes(vaulted("name: [[ who ]] {{ left }}"))
        entry = {"path": "a.j2", "variable_start_string": "[[", "variable_end_string": "]]"}
        (source,) = Action(tmp_path, who="web").read_files({"template": [entry], "remote_src": True})[
            "template"
        ]
        assert source["text"] == "name: web {{ left }}"
        assert source["hidden"] == "yes"

    @pytest.mark.parametrize("text", ["{{ missing }}", "{% if %}", "{{ 1 | nofilter }}"])
    def test_what_jinja_refuses_names_the_file(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "a.j2").write_text(text)
        with pytest.raises(InputError, match=r"a\.j2 cannot be rendered: ") as caught:
            Action(tmp_path).read_files({"template": "a.j2"})
        assert caught.value.problems[0].where == "template[0]"

    def test_a_missing_file_is_named_by_the_variable_of_the_role(self, tmp_path: Path) -> None:
        action = Action(tmp_path, mesh_resource_templates=["a.j2"], mesh_resource_paths=["/nowhere"])
        with pytest.raises(InputError, match=r"mesh_resource_templates\[0\]: no such file"):
            action.read_files({"template": ["a.j2"]})
        with pytest.raises(InputError, match=r"mesh_resource_paths\[0\]: no such file"):
            action.read_files({"src": ["/nowhere"]})
        with pytest.raises(InputError, match=r"src\[0\]: no such file"):
            Action(tmp_path).read_files({"src": ["/nowhere"]})

    @pytest.mark.parametrize("option", ["src", "template"])
    @pytest.mark.parametrize(
        "manifest",
        [
            "kind: Secret\nstringData:\n  pin: s3cret\n",
            '{"kind": "Secret", "stringData": {"pin": "s3cret"}}',
            '[{"kind": "Secret", "stringData": {"pin": "s3cret"}}]',
        ],
    )
    def test_a_manifest_instead_of_its_path_is_not_shown(
        self, tmp_path: Path, option: str, manifest: str
    ) -> None:
        with pytest.raises(InputError, match=r"no such file or directory|no file matches") as caught:
            Action(tmp_path).read_files({option: [manifest]})
        assert "s3cret" not in str(caught.value)

    @pytest.mark.parametrize("option", ["src", "template"])
    @pytest.mark.parametrize("path", ["", " ", "$EMPTY"])
    def test_an_empty_path_is_not_a_whole_directory(
        self, tmp_path: Path, option: str, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """``{{ path | default('') }}``: every file of the project, or every template of a role, was read."""
        monkeypatch.setenv("EMPTY", "")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "templates").mkdir()
        for name in ("a.yml", "templates/b.yml"):
            (tmp_path / name).write_text("{}")
        with pytest.raises(InputError) as caught:
            Action(tmp_path).read_files({option: [path]})
        assert caught.value.problems[0].where == f"{option}[0]"

    @pytest.mark.parametrize("value", [7, [{}], [{"path": ""}], {"path": "a", "mode": "x"}, [None]])
    def test_what_is_no_template(self, value: Any) -> None:
        with pytest.raises(InputError):
            template_entries(value, "template")
