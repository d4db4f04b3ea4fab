"""The lines of the guide that removes everything: those of one method, as they stand there."""

from __future__ import annotations

from tools import removal


def test_each_method_has_its_own_way_out() -> None:
    istioctl, helm = removal.commands("istioctl"), removal.commands("helm")
    assert [line for line in istioctl if line not in helm] == ["istioctl uninstall --purge -y"]
    apart = [line.split()[:3] for line in helm if line not in istioctl]
    assert apart == [["helm", "uninstall", "-n"]] * 2 + [["kubectl", "get", "crd"]]
    for lines in (istioctl, helm):
        assert lines[0].startswith("ansible-playbook playbooks/mesh.yml -i INVENTORY -e mesh_state=absent")
        assert sum("NAMESPACE" in line for line in lines) == 4
        assert lines[-1].startswith("kubectl delete configmap -A")


def test_no_line_is_lost() -> None:
    both = {*removal.commands("istioctl"), *removal.commands("helm")}
    text = removal.GUIDE.read_text(encoding="utf-8")
    blocks = text.split("```bash\n")[1:]
    assert both == {line for block in blocks for line in block.partition("```")[0].splitlines() if line}
