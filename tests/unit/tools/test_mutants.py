"""Mutation testing: which changes are made, which are tried, who is asked, and what is counted."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tools.mutants import equivalents, report, sample
from tools.mutants.coverage_map import CoverageMap, Recorded
from tools.mutants.known import Known
from tools.mutants.near import Near
from tools.mutants.operators import KINDS, Mutant, is_change, mutants_of
from tools.mutants.pool import Pool
from tools.mutants.report import Verdict
from tools.mutants.run import Run, settled
from tools.mutants.sources import Sources
from tools.mutants.worker import MEMORY
from tools.screen import SetupError

ROOT = Path(__file__).resolve().parents[3]


def changes(code: str) -> set[str]:
    return {mutant.change for mutant in mutants_of("x.py", code) if is_change(mutant, code)}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(a, b):\n    return a == b\n", {"== b -> != b"}),
        ("def f(a, b):\n    return a < b\n", {"< b -> <= b", "< b -> >= b"}),
        ("def f(a, b):\n    return a is not b\n", {"is not b -> is b"}),
        ("def f(a, b):\n    return a in b\n", {"in b -> not in b"}),
        ("def f(a, b):\n    return a and b\n", {"a and b -> a or b"}),
        ("def f(a):\n    return not a\n", {"not a -> a"}),
        ("def f(a, b):\n    return (\n        a\n        or b\n    )\n", {"a or b -> a and b"}),
        ("def f(a):\n    if a:\n        return g()\n", {"a -> True", "a -> False"}),
        ("def f(a, b, c):\n    return b if a else c\n", {"a -> True", "a -> False"}),
        ("def f(a):\n    while a:\n        g()\n", {"a -> False"}),
        ("def f(a):\n    return [b for b in a if b]\n", {"b -> True", "b -> False"}),
        ("def f(a):\n    for b in a:\n        continue\n", {"a -> ()", "continue -> pass"}),
        ('def f():\n    raise ValueError("a")\n', {'raise ValueError("a") -> pass'}),
        ("def f():\n    return 3\n", {"3 -> 4"}),
        ('def f():\n    return "name"\n', {'"name" -> "XXnameXX"'}),
        ("X = True\n", {"True -> False"}),
        ("def f(a, b):\n    return a - b\n", {"a - b -> a + b"}),
    ],
)
def test_each_kind_of_change(code: str, expected: set[str]) -> None:
    assert changes(code) == expected


@pytest.mark.parametrize(
    "code",
    [
        '"""Module."""\n\n\ndef f():\n    """Words == words."""\n',
        "def f(a: dict[str, 3]) -> tuple[0]: ...\n",
        "x: dict[str, 3]\n",
        "@d(frozen=True)\nclass A: ...\n",
        "if TYPE_CHECKING:\n    x = 3\n",
        'def f():\n    return "a sentence for people"\n',
        'def f():\n    return ("a sentence " "for people")\n',
        "from a import b\n",
        '__all__ = ["a", "b"]\n',
        'T = TypeVar("T", bound=3)\n',
        "def f():\n    while True:\n        g()\n",
    ],
)
def test_what_changes_nothing_that_a_test_should_see_is_left_alone(code: str) -> None:
    assert changes(code) - {"True -> False"} == set()


def test_a_change_is_made_at_its_place_and_nowhere_else() -> None:
    code = 'def f(a, b):\n    x = "ä" if a == b else "ö"\n    return a == b\n'
    second = [mutant for mutant in mutants_of("x.py", code) if mutant.line == 3]
    assert [mutant.apply(code) for mutant in second] == [code[: -len("== b\n")] + "!= b\n"]
    first = next(mutant for mutant in mutants_of("x.py", code) if mutant.change == "== b -> != b")
    assert first.apply(code) == code.replace("a == b else", "a != b else")
    assert first.source == 'x = "ä" if a == b else "ö"'


def test_a_statement_is_found_for_every_part_of_it() -> None:
    code = (
        "def f(a):\n    return g(\n        1,\n        2,\n    )\n\n\nif (\n    a\n    == 3\n):\n    pass\n"
    )
    lines = {mutant.change: mutant.lines for mutant in mutants_of("x.py", code)}
    assert lines["1 -> 2"] == (2, 5)
    assert lines["== 3 -> != 3"][0] == 8


def mutant(path: str = "plugins/module_utils/kube/a.py", line: int = 1, **changed: object) -> Mutant:
    values = {
        "path": path, "kind": "value", "line": line, "column": 0, "end_line": line, "end_column": 1,
        "before": "1", "after": "2", "lines": (line, line), "source": "1", **changed,
    }  # fmt: skip
    return Mutant(**values)


def test_the_sample_is_the_same_for_a_seed_takes_kinds_in_turn_and_is_all_in_the_end() -> None:
    all_of_them = [mutant(line=number, kind=KINDS[number % 2]) for number in range(40)]
    first = list(sample.drawn(all_of_them, "1"))
    assert first == list(sample.drawn(all_of_them, "1"))
    assert first != list(sample.drawn(all_of_them, "2"))
    assert sorted(first, key=lambda one: one.line) == all_of_them
    assert Counter(one.kind for one in first[:10]) == {KINDS[0]: 5, KINDS[1]: 5}


def test_small_packages_get_their_share() -> None:
    sizes = {"large": 900, "small": 90, "tiny": 2}
    shares = sample.quotas(sizes, 100)
    assert sum(shares.values()) == 100
    assert shares["tiny"] == 2
    assert shares["small"] >= 4
    assert shares["large"] > 80
    assert sample.quotas(sizes, 2000) == sizes


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("plugins/module_utils/model/catalogue/readers/ports.py", "model/catalogue"),
        ("plugins/module_utils/kube/wait.py", "kube"),
        ("plugins/module_utils/errors.py", "."),
    ],
)
def test_packages(path: str, package: str) -> None:
    assert sample.package_of(path) == package


def test_a_package_is_chosen_by_its_path() -> None:
    path = "plugins/module_utils/model/catalogue/readers/ports.py"
    assert sample.lies_in(path, ["model"])
    assert sample.lies_in(path, ["kube", "model/catalogue/readers/ports"])
    assert not sample.lies_in(path, ["mod", "model/cat", "catalogue"])


@pytest.mark.parametrize(
    ("file", "rooms", "asked"),
    [
        ("tests/unit/kube/test_wait.py", None, True),
        ("tests/unit/kube/test_wait.py", ["model", "kube"], True),
        ("tests/unit/kube/test_wait.py", ["kube/test_wait"], True),
        ("tests/unit/kube/test_wait.py", ["kube/test_w"], False),
        ("tests/unit/kubeless/test_wait.py", ["kube"], False),
        ("tests/unit/kube/support.py", None, False),
        ("tests/integration/kube/test_wait.py", ["kube"], False),
    ],
)
def test_which_tests_are_asked(file: str, rooms: list[str] | None, *, asked: bool) -> None:
    assert sample.is_asked(file, rooms) is asked
    assert sample.is_asked(file, rooms, ["kube/test_waits", "model"]) is asked
    for without in (["kube"], ["model", "kube/test_wait"]):
        assert not sample.is_asked(file.replace("kubeless", "kube"), rooms, without)


def test_survivors_are_counted_right() -> None:
    found = [
        Verdict(mutant(line=1), "tests/unit/kube/test_a.py::test_one"),
        Verdict(mutant(line=2), "time limit"),
        Verdict(mutant(line=3), "", "3 tests run it"),
        Verdict(mutant(line=4), "", report.NOT_RUN, untyped=True),
        Verdict(mutant("plugins/module_utils/operations/apply/a.py"), "", report.NOT_RUN),
    ]
    counts = report.counts(found)
    assert counts == {"kube": report.Count(2, 3), "operations/apply": report.Count(0, 1)}
    assert report.below(counts, ["kube"], 90) == ["kube"]
    assert report.below(counts, ["kube"], 66) == []
    assert report.below(counts, ["operations"], 90) == ["operations/apply"]
    text = "\n".join(report.lines(found, ["kube"], 90))
    assert "plugins/module_utils/kube/a.py:3: value, 3 tests run it" in text
    assert "a.py:2:" not in text
    assert "a.py:4:" not in text
    assert "2/4   50.0 %  in all, and 1 that the type check finds" in text
    assert "below 90 %" in text


def test_what_a_busy_machine_could_not_tell_counts_on_neither_side() -> None:
    found = [
        Verdict(mutant(line=1), "tests/unit/kube/test_a.py::test_one"),
        Verdict(mutant(line=2), "", report.STALLED, untold=True),
    ]
    assert not found[1].survived
    assert report.counts(found) == {"kube": report.Count(1, 1)}
    text = "\n".join(report.lines(found, ["kube"], 90))
    assert "1/1  100.0 %  in all, and 1 that could not be told" in text
    assert "a.py:2:" not in text


class TestSettled:
    """What counts when the clock ends the tests of a mutant."""

    STALLED: ClassVar[dict[str, str]] = {"stalled": "waits for ever"}
    PASSED: ClassVar[dict[str, str]] = {"noticed_by": ""}

    def settle(self, *answers: dict[str, str]) -> tuple[dict[str, str], list[str]]:
        waiting = list(answers)
        asked: list[str] = []

        def ask(task: Mapping[str, Any]) -> dict[str, str]:
            asked.append(task["code"])
            return waiting.pop(0)

        found = settled(ask, {"code": "changed"}, "as it was")
        assert not waiting
        return found, asked

    def test_an_answer_is_taken_as_it_is(self) -> None:
        assert self.settle({"noticed_by": SMALL}) == ({"noticed_by": SMALL}, ["changed"])
        assert self.settle({"ended": "time limit"}) == ({"ended": "time limit"}, ["changed"])

    def test_noticed_when_only_the_changed_tests_are_late(self) -> None:
        found, asked = self.settle(self.STALLED, self.PASSED, self.STALLED)
        assert found == {"ended": "waits for ever"}
        assert asked == ["changed", "as it was", "changed"]

    def test_a_busy_machine_tells_nothing(self) -> None:
        assert self.settle(*[self.STALLED] * 5)[0] == self.STALLED
        # ... nor do tests that fail without the change while it is busy
        red = {"noticed_by": SMALL}
        assert self.settle(self.STALLED, red, self.STALLED, red, self.STALLED)[0] == self.STALLED

    def test_the_second_attempt_decides_when_it_comes_to_an_end(self) -> None:
        assert self.settle(self.STALLED, self.STALLED, self.PASSED)[0] == self.PASSED
        assert self.settle(self.STALLED, self.PASSED, {"noticed_by": SMALL})[0] == {"noticed_by": SMALL}


def verdicts_of(number: int, *survivors: int, untyped: tuple[int, ...] = ()) -> list[Verdict]:
    return [
        Verdict(
            mutant(line=line), "" if line in survivors or line in untyped else "a::b", untyped=line in untyped
        )
        for line in range(number)
    ]


def test_a_survivor_among_four_is_followed_by_more_of_its_package_and_one_among_thirty_is_not() -> None:
    def more(*verdicts: Verdict, required: str = "kube", known: int = 60) -> list[int]:
        run = object.__new__(Run)  # without copies of the tree
        run.options = argparse.Namespace(threshold=90.0, seed="1")
        run._packages = {"kube": [mutant(line=line) for line in range(known)]}
        run.code = {}
        run._some = lambda _package, mutants, wanted: list(mutants)[:wanted]
        return [one.line for one in run.further(verdicts, [required])]

    assert more(*verdicts_of(4, 2)) == list(range(4, 30))
    assert more(*verdicts_of(4)) == []
    assert more(*verdicts_of(4, 2), required="model") == []
    assert more(*verdicts_of(30, 1, 2, 3, 4)) == []
    assert more(*verdicts_of(29, 1, 2, 3)) == [29]
    # what the types refuse was no mutant: another one is taken for it
    assert more(*verdicts_of(4, 2, untyped=(1,))) == list(range(4, 31))
    assert more(*verdicts_of(4, 2), known=7) == [4, 5, 6]


def test_exactly_the_threshold_is_enough() -> None:
    assert report.below({"kube": report.Count(9, 10)}, ["kube"], 90) == []


class TestEquivalents:
    BLOCK = "plugins/module_utils/kube/a.py\nx = 1\n1 -> 2\nnobody reads it\n"

    def read(self, tmp_path: Path, text: str) -> list[equivalents.Equivalent]:
        (tmp_path / "list.txt").write_text(text)
        return equivalents.read(tmp_path / "list.txt")

    def test_are_found_by_content_wherever_the_line_is(self, tmp_path: Path) -> None:
        [block] = self.read(tmp_path, f"# words\n\n{self.BLOCK}")
        assert block.describes(mutant(line=77, source="x = 1"))
        assert not block.describes(mutant(source="y = 1"))
        assert not block.describes(mutant(source="x = 1", after="3"))

    def test_that_fit_nothing_any_more_are_told(self, tmp_path: Path) -> None:
        blocks = self.read(tmp_path, f"{self.BLOCK}\n{self.BLOCK.replace('x = 1', 'y = 1')}")
        assert equivalents.left_over(blocks, [mutant(source="x = 1")]) == [blocks[1]]
        assert equivalents.left_over(blocks, [mutant("plugins/module_utils/kube/b.py")]) == []

    def test_need_a_reason(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="a reason"):
            self.read(tmp_path, self.BLOCK.replace("nobody reads it\n", ""))

    def test_an_empty_list_is_one(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "# words\n") == []
        assert equivalents.read(tmp_path / "none.txt") == []

    def test_the_projects_own_list_can_be_read(self) -> None:
        equivalents.read(ROOT / "tests" / "mutants-equivalent.txt")


FILES = {
    "plugins/module_utils/kube/a.py": (
        "LIMIT = 3\n\n\ndef small(x):\n    if x < LIMIT:\n        return True\n    return False\n\n\n"
        "def unused():\n    return 1\n"
    ),
    "plugins/module_utils/kube/b.py": (
        "from .a import LIMIT\n\n\ndef left(x):\n    while x > 0:\n        x = x - 1\n    return LIMIT + x\n"
    ),
    "tests/unit/kube/test_a.py": (
        "from plugins.module_utils.kube.a import small\n\n\n"
        "def test_small():\n    assert small(1)\n    assert not small(9)\n\n\n"
        "def test_red():\n    assert False\n"
    ),
    "tests/unit/kube/test_b.py": (
        "import pytest\nfrom plugins.module_utils.kube.b import left\n\n\n"
        "@pytest.fixture(scope='module')\ndef shared():\n    return left(2)\n\n\n"
        "def test_first(shared):\n    pass\n\n\ndef test_second(shared):\n    assert shared == 3\n"
    ),
    "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\npythonpath = ["."]\n',
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small product with its tests, and this project's tools."""
    root = tmp_path_factory.mktemp("tree")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "tools").symlink_to(ROOT / "tools")
    return root


@pytest.fixture(scope="module")
def pool(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with Pool([tree], tmp_path_factory.mktemp("temporary")) as running:
        yield running


def ask(pool: Pool, task: dict) -> dict:
    answers: list[dict] = []
    pool.run([lambda worker: answers.append(worker.ask(task))])
    return answers[0]


@pytest.fixture(scope="module")
def recorded(tree: Path, pool: Pool) -> CoverageMap:
    """What the small product's tests run, learnt by running them."""
    found = CoverageMap(Sources(tree, [*FILES, "tools/mutants/worker.py"]))
    for file in (name for name in FILES if name.startswith("tests/")):
        found.add(file, Recorded(**ask(pool, {"file": file, "limit": 60})))
    return found


def one(path: str, change: str) -> Mutant:
    code = FILES[path]
    return next(mutant for mutant in mutants_of(path, code) if mutant.change == change)


A, B = "plugins/module_utils/kube/a.py", "plugins/module_utils/kube/b.py"
SMALL = "tests/unit/kube/test_a.py::test_small"
FIRST, SECOND = (f"tests/unit/kube/test_b.py::test_{name}" for name in ("first", "second"))


@pytest.mark.parametrize(
    ("path", "change", "tests"),
    [
        (A, "< LIMIT -> <= LIMIT", [SMALL]),  # and not test_red, which fails without any change
        (A, "1 -> 2", []),  # in `unused`
        (A, "3 -> 4", [SMALL, FIRST, SECOND]),  # run at import: who uses the file, or what imports it
        (B, "> 0 -> <= 0", [FIRST, SECOND]),  # in a fixture that the tests share, whoever came first
    ],
)
def test_the_tests_that_run_a_line_are_known(
    recorded: CoverageMap, path: str, change: str, tests: list[str]
) -> None:
    assert sorted(recorded.tests_of(one(path, change))) == tests


@pytest.mark.parametrize(
    ("path", "change", "noticed"),
    [
        (A, "x < LIMIT -> False", SMALL),
        (A, "< LIMIT -> <= LIMIT", ""),  # nobody asks about 3 itself
        (B, "> 0 -> >= 0", SECOND),  # the shared value is another then
        (B, "LIMIT + x -> LIMIT - x", ""),  # x is 0 there
        (B, "x - 1 -> x + 1", "time limit"),  # for ever
        (A, "3 -> 4", SECOND),
    ],
)
def test_mutants_are_judged_and_the_tree_is_as_before(
    recorded: CoverageMap, tree: Path, pool: Pool, path: str, change: str, noticed: str
) -> None:
    wanted = one(path, change)
    tests = {test: recorded.costs[test] for test in recorded.tests_of(wanted)}
    task = {"path": path, "code": wanted.apply(FILES[path]), "tests": tests, "limit": 30}
    # A machine that is very busy lets the clock end it first; then the same is tried without the change.
    answer = settled(lambda asked: ask(pool, asked), task, FILES[path])
    ended = "time limit" if answer.get("ended") == "waits for ever" else answer.get("ended")
    assert answer.get("noticed_by", ended) == noticed
    assert (tree / path).read_text() == FILES[path]


def test_the_nearest_files_are_asked_without_learning_first(tree: Path, pool: Pool) -> None:
    imports = Sources(tree, [name for name in FILES if name.endswith(".py")])
    near = Near(imports, None, None)
    assert near.files(A) == ["tests/unit/kube/test_a.py", "tests/unit/kube/test_b.py"]
    assert near.files(B) == ["tests/unit/kube/test_b.py"]
    assert Near(imports, ["kube"], ["kube/test_a"]).files(A) == ["tests/unit/kube/test_b.py"]

    def verdict(path: str, change: str) -> Verdict:
        found: list[Verdict] = []
        wanted = one(path, change)
        pool.run([lambda worker: found.append(near.verdict(wanted, FILES[path], worker, settled))])
        return found[0]

    assert verdict(A, "x < LIMIT -> False").noticed_by == SMALL
    assert verdict(A, "3 -> 4").noticed_by == SECOND  # and not test_red, which fails without any change
    assert near.red == {"tests/unit/kube/test_a.py::test_red"}
    survivor = verdict(A, "< LIMIT -> <= LIMIT")
    assert (survivor.survived, survivor.why) == (True, "2 files of tests are near it")
    assert verdict(B, "> 0 -> >= 0").noticed_by == SECOND
    assert Near(imports, ["model"], None).files(A) == []
    broken = tree / "tests/unit/kube/test_b.py"
    broken.write_text("import nothing_of_this_name\n")
    try:
        assert verdict(B, "LIMIT + x -> LIMIT - x").untold
    finally:
        broken.write_text(FILES["tests/unit/kube/test_b.py"])


def test_of_a_file_that_no_test_is_near_to_the_least_far_ones_are_asked(tmp_path: Path) -> None:
    chain = [f"plugins/module_utils/kube/m{at}.py" for at in range(4)]
    texts = {name: f"from . import m{at - 1}\n" if at else "" for at, name in enumerate(chain)}
    texts |= {
        f"tests/unit/kube/test_{at}.py": "from plugins.module_utils.kube import m3\n" for at in range(9)
    }
    texts |= {"tests/unit/kube/test_far.py": "from . import test_0\n"}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    near = Near(Sources(tmp_path, list(texts)), None, None)
    all_of_them = [f"tests/unit/kube/test_{at}.py" for at in range(9)]
    assert near.files(chain[0]) == near.files(chain[1]) == all_of_them
    assert near.files(chain[2]) == near.files(chain[3]) == all_of_them[:6]


@pytest.mark.parametrize("ends", ["time.sleep(99)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_process_that_the_clock_or_the_machine_ends_says_nothing_yet(
    tree: Path, pool: Pool, ends: str
) -> None:
    file = "tests/unit/kube/test_stalls.py"
    (tree / file).write_text(f"import os, signal, time\n\n\ndef test_it():\n    {ends}\n")
    task = {"path": A, "code": FILES[A], "tests": {f"{file}::test_it": 0.1}, "limit": 0.1}
    assert ask(pool, task) == {"stalled": "waits for ever"}


def test_a_mutant_is_noticed_that_takes_all_memory(tree: Path, pool: Pool) -> None:
    file = "tests/unit/kube/test_eats.py"
    (tree / file).write_text(f"def test_it():\n    bytearray({2 * MEMORY})\n")
    task = {"path": A, "code": FILES[A], "tests": {f"{file}::test_it": 0.1}, "limit": 30}
    assert ask(pool, task) == {"noticed_by": f"{file}::test_it"}


def test_tests_that_cannot_be_run_say_nothing_about_a_mutant(pool: Pool) -> None:
    task = {"path": A, "code": FILES[A], "tests": {"tests/unit/none.py::test": 0.1}, "limit": 30}
    with pytest.raises(SetupError, match="could not be run"):
        pool.run([lambda worker: worker.ask(task)])


def test_a_verdict_is_known_until_what_it_rests_on_changes(tree: Path, tmp_path: Path) -> None:
    names = [*FILES, "tools/mutants/worker.py"]
    noticed, survivor = one(A, "x < LIMIT -> False"), one(B, "> 0 -> >= 0")
    before = Known(tmp_path / "verdicts.json", Sources(tree, names))
    before.keep(Verdict(noticed, SMALL), [SMALL])
    before.keep(Verdict(survivor, "", "2 tests run it"), [FIRST, SECOND])
    before.keep_types(survivor, True)
    before.save()
    after = Known(tmp_path / "verdicts.json", Sources(tree, names))
    assert after.find(noticed, [SMALL]) == Verdict(noticed, SMALL)
    assert after.find(survivor, [FIRST, SECOND]) == Verdict(survivor, "", "2 tests run it")
    assert after.find(survivor, [FIRST, SECOND, SMALL]) is None  # another file has come to run it
    assert after.types(survivor) is True
    assert after.types(noticed) is None

    changed = Sources(tree, names)
    changed.digests["tests/unit/kube/test_b.py"] = "another"
    after = Known(tmp_path / "verdicts.json", changed)
    assert after.find(noticed, [SMALL]) is not None
    assert after.find(survivor, [FIRST, SECOND]) is None

    without = Sources(tree, [name for name in names if not name.startswith("tests/unit/kube/test_a")])
    after = Known(tmp_path / "verdicts.json", without)
    assert after.find(noticed, [SECOND]) is None

    changed = Sources(tree, names)
    changed.digests[A] = "another"  # test_b imports it through b
    after = Known(tmp_path / "verdicts.json", changed)
    assert after.find(noticed, [SMALL]) is None
    assert after.find(survivor, [FIRST, SECOND]) is None
