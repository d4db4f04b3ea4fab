"""Single changes of a source file that tests should notice: mutmut's operators, and three of our own.

Only changes that alter what the program does: no docstrings, annotations, decorators, `if TYPE_CHECKING`,
`__all__`, no prose (a string with a space in it is for people), no texts of exceptions.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider
from mutmut.mutation import mutators

# What kinds of change there are; a sample takes from them in turn, or names of fields would be most of it.
COMPARISON = "comparison"
LOGIC = "and/or/not"
CONDITION = "condition"
FLOW = "flow"
VALUE = "value"
KINDS = (COMPARISON, LOGIC, CONDITION, FLOW, VALUE)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change. `path` from the root; `line`, `column` and their ends: what `after` replaces (columns from
    0, the end is not part of it); `lines`: first and last line of the statement's own code.
    """

    path: str
    kind: str
    line: int
    column: int
    end_line: int
    end_column: int
    before: str
    after: str
    lines: tuple[int, int]
    source: str

    @property
    def change(self) -> str:
        """The change on one line, as reports and the list of equivalent mutants spell it."""
        return f"{_flat(self.before)} -> {_flat(self.after)}"

    def apply(self, code: str) -> str:
        """The whole file with this change."""
        lines = code.splitlines(keepends=True)
        head = "".join(lines[: self.line - 1]) + lines[self.line - 1][: self.column]
        tail = lines[self.end_line - 1][self.end_column :] + "".join(lines[self.end_line :])
        return head + self.after + tail


def mutants_of(path: str, code: str) -> list[Mutant]:
    """Every change of one file, in the order of the text.

    :returns: mutants; `is_change` tells which of them are programs.
    """
    wrapper = MetadataWrapper(cst.parse_module(code), unsafe_skip_copy=True)
    collector = _Collector(path, code, wrapper)
    wrapper.module.visit(collector)
    found = {(m.line, m.column, m.end_line, m.end_column, m.after): m for m in reversed(collector.found)}
    return [found[place] for place in sorted(found)]


def is_change(mutant: Mutant, code: str) -> bool:
    """Whether the mutant is a program, and another one than before: some are neither."""
    try:
        tree = ast.parse(mutant.apply(code))
        compile(tree, mutant.path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return ast.dump(tree) != ast.dump(ast.parse(code))


def _constant_conditions(test: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    if not (isinstance(test, cst.Name) and test.value in {"True", "False"}):
        yield cst.Name("True")
        yield cst.Name("False")


def _negated(node: cst.ComparisonTarget) -> Iterator[cst.ComparisonTarget]:
    opposites: dict[type[cst.CSTNode], Callable[[], cst.BaseCompOp]] = {
        cst.LessThan: cst.GreaterThanEqual,
        cst.GreaterThan: cst.LessThanEqual,
        cst.LessThanEqual: cst.GreaterThan,
        cst.GreaterThanEqual: cst.LessThan,
    }
    opposite = opposites.get(type(node.operator))
    if opposite is not None:
        yield node.with_changes(operator=opposite())


def _keyword(node: cst.CSTNode) -> Iterable[cst.CSTNode]:
    """`is`, `in` and their negations."""
    target = cast(cst.ComparisonTarget, node)
    for operator in mutators.operator_keywords(target.operator):
        yield target.with_changes(operator=operator)


def _string(node: cst.SimpleString) -> Iterator[cst.BaseString]:
    """Another name instead of this one; texts for people are left alone."""
    if " " not in node.value and len(node.raw_value) > 0:
        yield from list(mutators.operator_string(node))[:1]


_Operator = Callable[..., Iterable[cst.CSTNode]]
# type of node -> the kind of a change, and what yields the changed nodes
_OPERATORS: tuple[tuple[type[cst.CSTNode], str, _Operator], ...] = (
    (cst.ComparisonTarget, COMPARISON, mutators.operator_swap_op),
    (cst.ComparisonTarget, COMPARISON, _negated),
    (cst.ComparisonTarget, COMPARISON, _keyword),
    (cst.BooleanOperation, LOGIC, mutators.operator_swap_op),
    (cst.UnaryOperation, LOGIC, mutators.operator_remove_unary_ops),
    (cst.Raise, FLOW, lambda _: [cst.Pass()]),
    (cst.Break, FLOW, lambda _: [cst.Pass()]),
    (cst.Continue, FLOW, lambda _: [cst.Pass()]),
    (cst.BaseNumber, VALUE, mutators.operator_number),
    (cst.SimpleString, VALUE, _string),
    (cst.Name, VALUE, mutators.operator_name),
    (cst.BinaryOperation, VALUE, mutators.operator_swap_op),
    (cst.AugAssign, VALUE, mutators.operator_swap_op),
    (cst.Call, VALUE, mutators.operator_symmetric_string_methods_swap),
    (cst.Call, VALUE, mutators.operator_unsymmetrical_string_methods_swap),
)


class _Collector(cst.CSTVisitor):
    """Walks a file and collects the changes of what is not left alone."""

    def __init__(self, path: str, code: str, wrapper: MetadataWrapper) -> None:
        super().__init__()
        self.path = path
        self.found: list[Mutant] = []
        self._texts = code.splitlines()
        self._module = wrapper.module
        self._positions = wrapper.resolve(PositionProvider)
        self._statements: list[tuple[int, int]] = [(1, 1)]

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.SimpleStatementLine):
            position = self._position(node)
            self._statements.append((position.start.line, position.end.line))
        elif isinstance(node, cst.BaseCompoundStatement):
            self._statements.append(self._header(node))
        if self._left_alone(node):
            return False
        self._conditions(node)
        for kind, change, operator in _OPERATORS:
            if isinstance(node, kind):
                for changed in operator(node):
                    self._add(change, node, changed)
        # What is raised is told by its type; its words are prose.
        return not isinstance(node, cst.Raise)

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.SimpleStatementLine | cst.BaseCompoundStatement):
            self._statements.pop()

    def _conditions(self, node: cst.CSTNode) -> None:
        if isinstance(node, cst.If | cst.IfExp | cst.While | cst.CompIf):
            for changed in _constant_conditions(node.test):
                # `while True` for a condition that ends the loop only tells that a time limit works
                if not (isinstance(node, cst.While) and cast(cst.Name, changed).value == "True"):
                    self._add(CONDITION, node.test, changed)
        elif isinstance(node, cst.For):
            self._add(FLOW, node.iter, cst.Tuple([]))

    @staticmethod
    def _left_alone(node: cst.CSTNode) -> bool:
        left = cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom | cst.TypeAlias
        if isinstance(node, left) or _hands_on(node):
            return True
        if isinstance(node, cst.If) and isinstance(node.test, cst.Name):
            return node.test.value == "TYPE_CHECKING"
        if isinstance(node, cst.SimpleStatementLine):  # a docstring, or a string that does nothing
            return all(
                isinstance(part, cst.Expr)
                and isinstance(part.value, cst.SimpleString | cst.ConcatenatedString)
                for part in node.body
            )
        if isinstance(node, cst.Call):  # a type for the checker only
            return isinstance(node.func, cst.Name) and node.func.value in {"TypeVar", "NewType"}
        return isinstance(node, cst.ConcatenatedString) and not isinstance(node.left, cst.FormattedString)

    def _header(self, node: cst.BaseCompoundStatement) -> tuple[int, int]:
        """First and last line of the part before the colon."""
        first = self._position(node).start.line
        body = self._position(node.body).start.line if hasattr(node, "body") else first
        return first, max(first, body - 1)

    def _position(self, node: cst.CSTNode) -> CodeRange:
        return self._positions[node]

    def _add(self, kind: str, node: cst.CSTNode, changed: cst.CSTNode) -> None:
        start, end = self._position(node).start, self._position(node).end
        before = "\n".join(self._texts[start.line - 1 : end.line])
        last = len(before) - len(self._texts[end.line - 1]) + end.column
        self.found.append(
            Mutant(
                path=self.path,
                kind=kind,
                line=start.line,
                column=start.column,
                end_line=end.line,
                end_column=end.column,
                before=before[start.column : last],
                after=self._module.code_for_node(_without_own_parentheses(node, changed)),
                lines=self._statements[-1],
                source=self._texts[start.line - 1].strip(),
            )
        )


def _hands_on(node: cst.CSTNode) -> bool:
    """Whether it is an assignment to ``__all__``: the names that the type check lets others import."""
    return isinstance(node, cst.Assign) and any(
        isinstance(one.target, cst.Name) and one.target.value == "__all__" for one in node.targets
    )


def _without_own_parentheses(node: cst.CSTNode, changed: cst.CSTNode) -> cst.CSTNode:
    """A node's parentheses are outside its position: what inherits them must not bring them again."""
    own = getattr(node, "lpar", ())
    if own and getattr(changed, "lpar", ()) is own:
        return changed.with_changes(lpar=(), rpar=())
    return changed


def _flat(code: str) -> str:
    return " ".join(code.split())
