"""House rules that no linter knows, read from the syntax tree; each is able to fail."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
PACKAGES = ("client", "common", "server", "simulations")
DECLARED = (
    "client/documents/mapping.py",
    "client/documents/media.py",
    "common/sections/cleaning.py",
    "common/sections/disclosure.py",
)
DECLARED += ("common/schema.py", "common/study.py", "common/sections/terms.py")
LINES, FUNCTION_LINES = 300, 60
PARENTS = {"BaseModel", "ConsiliumError", "Document", "Exception", "Grid", "Part"}
PARENTS |= {"Refusal"}  # a kind of no that the other side acts upon
PARENTS |= {"ssl.SSLObject"}  # how the ssl module is extended
PARENTS |= {"nn.Module"}  # how PyTorch is told of layers
VAGUE = re.compile("(?i)(manager|handler|helper|factory|processor|util|base|mixin)s?")
POWERS = {"breakpoint", "compile", "eval", "exec", "input", "open", "print"}
POWERS |= {"__import__", "__builtins__", "globals"}
FILES = {"fromfile", "genfromtxt", "load", "loadtxt", "memmap"}
FILES |= {"save", "savetxt", "savez", "savez_compressed", "tofile"}
REPLIES = {"create_error_reply", "create_reply"}

Rule = Callable[[str, str, ast.Module], Iterator[str]]


def docstring(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    del path, text
    if not ast.get_docstring(tree):
        yield "says nowhere what it is for"


def length(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    del path
    if len(text.splitlines()) > LINES:
        yield f"is longer than {LINES} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{node.name} is {lines} lines long"


def words(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    del text
    classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for name in (Path(path).stem, *classes):
        if any(VAGUE.fullmatch(word) for word in re.findall("[A-Z]?[a-z]+", name)):
            yield f"{name} could be called anything"


def parents(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    del path, text
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.bases:
            names = [ast.unparse(each) for each in node.bases]
            if len(names) > 1 or names[0] not in PARENTS:
                yield f"{node.name} inherits from {', '.join(names)}"


def no_global(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    del path, text
    if any(isinstance(node, ast.Global) for node in ast.walk(tree)):
        yield "changes a global"


def one_door(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    del text
    for node in ast.walk(tree):
        reply = isinstance(node, ast.keyword) and node.arg == "reply_to"
        old = isinstance(node, ast.Attribute) and node.attr in REPLIES
        if (reply or old) and path != "client/door/egress.py":
            yield "builds a reply, which only client/door/egress.py may"


def imports(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    del path, text
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in {"__import__", "__builtins__"}:
            yield "imports what no import statement names"


def formula(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    del text
    for node in ast.walk(tree) if path.startswith("common/tasks/") else ():
        if isinstance(node, ast.Name) and node.id in POWERS:
            yield f"has the power to {node.id}"
        if isinstance(node, ast.Attribute) and node.attr in FILES:
            yield f"reaches for a file with {node.attr}"


def threshold(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    del text
    kinds = ast.Import | ast.ImportFrom
    if path.endswith("/__init__.py") and any(isinstance(n, kinds) for n in tree.body):
        yield "hands on a name, and each has one place to come from"


def finished(path: str, text: str, tree: ast.Module) -> Iterator[str]:
    del path, tree
    yield from re.findall(r"\b(?:TODO|FIXME|XXX)\b.*", text)


RULES: dict[Rule, tuple[int, str, str]] = {
    docstring: (1, "client/x.py", "import math"),
    length: (2, "client/x.py", "def f():\n" + "    f()\n" * 300),
    words: (2, "client/table_utils.py", "class TableManager: ..."),
    parents: (2, "client/x.py", "class A(B): ...\nclass C(Exception, Grid): ..."),
    no_global: (1, "client/x.py", "def f():\n    global x\n    x = 1"),
    one_door: (2, "client/x.py", "m.create_reply(x)\nMessage(x, reply_to=m)"),
    imports: (1, "client/x.py", "__import__('server.conduct.rounds')"),
    formula: (3, "common/tasks/x.py", "print(np.load(open('x')))"),
    threshold: (1, "client/x/__init__.py", '"""A room."""\nimport math'),
    finished: (1, "client/x.py", "pass  # TODO: all of it"),
}
"""Every rule, and a snippet that breaks it so many times."""


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    files = [path for each in PACKAGES for path in (HOUSE / each).rglob("*.py")]
    return {
        path.relative_to(HOUSE).as_posix(): path.read_text("utf-8") for path in files
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rule(rule: Rule, texts: dict[str, str]) -> None:
    found = [
        f"{path}: {complaint}"
        for path, text in texts.items()
        for complaint in rule(path, text, ast.parse(text))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_broken_rule_is_seen(rule: Rule) -> None:
    times, path, snippet = RULES[rule]
    assert len(list(rule(path, snippet, ast.parse(snippet)))) == times


def unread(declared: list[ast.Module], everything: list[ast.Module]) -> set[str]:
    """Return the settings that a person can write and that no code reads."""
    read = {
        node.attr
        for tree in everything
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    return {
        f"{owner.name}.{field.target.id}"
        for tree in declared
        for owner in tree.body
        if isinstance(owner, ast.ClassDef)
        and [*map(ast.unparse, owner.bases)] == ["Document"]
        for field in owner.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if field.target.id not in read
    }


def test_every_setting_is_read(texts: dict[str, str]) -> None:
    trees = {path: ast.parse(text) for path, text in texts.items()}
    assert not unread([trees[path] for path in DECLARED], list(trees.values()))


def test_a_setting_that_nobody_reads_is_seen() -> None:
    tree = ast.parse("class Study(Document):\n    used: int\n    dead: int\nx = s.used")
    assert unread([tree], [tree]) == {"Study.dead"}
