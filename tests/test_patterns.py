"""No regular expression takes longer than a fixed time for each character, whatever is sent."""

from __future__ import annotations

import ast
import importlib
import re
import time
from collections.abc import Callable, Iterator
from itertools import islice, permutations
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.apps import apps
from django.conf import settings
from django.core.validators import RegexValidator

from cdp.patterns import BadPattern, full_matcher
from profiles.identity.blocked_values import compile_patterns, is_blocked
from profiles.identity.text import BadValue

_parser: Any = importlib.import_module("re._parser")

ROOT = Path(settings.BASE_DIR)
APPS = ("cdp", "profiles", "segments", "imports")
METHODS = ("search", "match", "fullmatch", "sub", "split", "findall", "finditer")
FUNCTIONS = {"compile", "subn", *METHODS}
# Built while running, of parts that are our own: checked where a module builds them with every part it uses.
BUILT = {
    "imports/files/strict.py": "One class of characters.",
    "imports/files/sniff.py": "Two quotes put into one form, and a literal character between two classes.",
    "profiles/identity/phones.py": "Prefixes of the phone numbers' library.",
}
# Long enough to tell 4 times the time from 16 times.
SHORT, LONG = 1_000, 4_000
GENERIC = (
    "a",
    "0",
    " ",
    "\t",
    "@",
    "a@",
    "a@a.",
    "=",
    "'",
    '"',
    ".",
    "a.",
    "0 ",
    "%40",
    "(",
    "-",
    "A",
    "aA",
    "x",
    "+",
    "&a=",
    "\\",
    "é",
)
TAILS = ("", "\x00", "!")


class Found(NamedTuple):
    name: str
    pattern: re.Pattern[Any]
    methods: frozenset[str]


def _modules() -> Iterator[tuple[Path, ast.Module]]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(ROOT), ast.parse(path.read_text())


def _is_regex_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr in FUNCTIONS
    )


def _module(path: Path) -> Any:
    return importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))


def _uses(trees: list[tuple[Path, ast.Module]]) -> dict[str, set[str]]:
    """Name → the methods that are called on it, anywhere."""
    uses: dict[str, set[str]] = {}
    for _, tree in trees:
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.attr in FUNCTIONS
            ):
                uses.setdefault(node.value.id, set()).add(node.attr.replace("subn", "sub"))
    return uses


def _calls(trees: list[tuple[Path, ast.Module]]) -> Iterator[tuple[str, ast.Call, Any]]:
    """Every call of ``re`` with its pattern, or with None where that is built of what only a run knows."""
    for path, tree in trees:
        for node in ast.walk(tree):
            if not _is_regex_call(node):
                continue
            assert isinstance(node, ast.Call)
            expression = ast.Expression(node.args[0])
            flags = ast.Expression(node.args[-1]) if len(node.args) > 1 else None
            flags = next((ast.Expression(k.value) for k in node.keywords if k.arg == "flags"), flags)
            place = f"{path}:{node.lineno}"
            try:
                names = vars(_module(path))
                pattern = eval(compile(expression, place, "eval"), dict(names))
            except NameError:
                yield place, node, None
                continue
            given: Any = 0
            if flags is not None:
                try:
                    given = eval(compile(flags, place, "eval"), dict(names))
                except NameError:
                    given = 0
            yield place, node, re.compile(pattern, given if isinstance(given, re.RegexFlag) else 0)


def _name_of(path: str, node: ast.Call, trees: dict[str, ast.Module]) -> str:
    for outer in ast.walk(trees[path]):
        if isinstance(outer, ast.Assign) and any(inner is node for inner in ast.walk(outer.value)):
            target = outer.targets[0]
            return target.id if isinstance(target, ast.Name) else ""
    return ""


def every_pattern() -> list[Found]:
    trees = list(_modules())
    by_path = {str(path): tree for path, tree in trees}
    uses = _uses(trees)
    found = []
    for place, node, pattern in _calls(trees):
        if pattern is None:
            continue
        assert isinstance(node.func, ast.Attribute)
        method = node.func.attr
        methods = {method}
        if method == "compile":
            methods = uses.get(_name_of(place.rpartition(":")[0], node, by_path), {"search", "fullmatch"})
        found.append(
            Found(place, pattern, frozenset(m for m in methods if m in METHODS) or frozenset({"search"}))
        )
    # Those built in a loop stand in their modules under a name.
    found += [
        Found(f"{path}:{name}", value, frozenset(uses.get(name, {"search", "fullmatch"}) & {*METHODS}))
        for path in BUILT
        for name, value in vars(_module(Path(path))).items()
        if isinstance(value, re.Pattern) and f"{path}:{name}" not in {each.name for each in found}
    ]
    for model in apps.get_models():
        for field in model._meta.get_fields():
            for validator in getattr(field, "validators", ()):
                if isinstance(validator, RegexValidator):
                    found.append(
                        Found(f"{model._meta.label}.{field.name}", validator.regex, frozenset({"search"}))
                    )  # type: ignore[arg-type]
    return found


# --- Hostile texts ------------------------------------------------------------------------------------


def _character(kind: Any, value: Any) -> str:
    if kind in (_parser.LITERAL,):
        return chr(value)
    if kind is _parser.NOT_LITERAL:
        return "a" if value != ord("a") else "b"
    if kind is _parser.ANY:
        return "a"
    if kind is _parser.CATEGORY:
        name = str(value)
        if "NOT_" in name:
            return "a" if "DIGIT" in name or "SPACE" in name else "!"
        return "0" if "DIGIT" in name else " " if "SPACE" in name else "a"
    if kind is _parser.RANGE:
        return chr(value[0])
    return ""


def _in(items: Any) -> list[str]:
    """A character or two of a class."""
    if items[0][0] is _parser.NEGATE:
        shut = {_character(*item) for item in items[1:]}
        return [char for char in "a 0.-_x=@é" if char not in shut][:3] or ["ł"]
    return list(dict.fromkeys(_character(*item) for item in items if _character(*item)))[:6]


def _example(tree: Any) -> str:
    """A text that the beginning of a pattern matches, with as little as it needs."""
    text = ""
    for kind, value in tree:
        if kind in (_parser.MAX_REPEAT, _parser.MIN_REPEAT, _parser.POSSESSIVE_REPEAT):
            text += _example(value[2]) * max(value[0], 0)
        elif kind is _parser.SUBPATTERN:
            text += _example(value[-1])
        elif kind is _parser.ATOMIC_GROUP:
            text += _example(value)
        elif kind is _parser.BRANCH:
            text += _example(value[1][0])
        elif kind is _parser.IN:
            text += _in(value)[0]
        else:
            text += _character(kind, value) if not isinstance(value, tuple) else ""
    return text


def _repeated(tree: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """(what stands before, one round) of everything that may be repeated without end."""
    done = before
    for kind, value in tree:
        piece = [(kind, value)]
        if kind in (_parser.MAX_REPEAT, _parser.MIN_REPEAT, _parser.POSSESSIVE_REPEAT):
            _, high, inner = value
            if high > 60:
                body = list(inner)
                if len(body) == 1 and body[0][0] is _parser.IN:
                    yield from ((done, char) for char in _in(body[0][1]))
                else:
                    yield done, _example(inner)
            yield from _repeated(inner, done)
        elif kind is _parser.SUBPATTERN:
            yield from _repeated(value[-1], done)
        elif kind is _parser.BRANCH:
            for branch in value[1]:
                yield from _repeated(branch, done)
        elif kind in (_parser.ASSERT, _parser.ASSERT_NOT):
            yield from _repeated(value[1], done)
            continue
        done += _example(piece)


def hostile(pattern: re.Pattern[Any]) -> Iterator[Callable[[int], Any]]:
    """Makers of texts: a number of rounds → the text."""
    tree = _parser.parse(
        pattern.pattern, pattern.flags & ~re.DEBUG & ~(0 if isinstance(pattern.pattern, str) else re.UNICODE)
    )
    rounds = [(before, unit) for before, unit in _repeated(tree) if unit]
    units = dict.fromkeys(unit for _, unit in rounds)
    whole = _example(tree)
    pumps = {
        *((before, unit) for before, unit in rounds),
        *(("", unit) for unit in units),
        *((whole, unit) for unit in units),
        *(("", first + second) for first, second in permutations(list(units)[:6], 2)),
        *(("", unit) for unit in GENERIC),
        ("", whole),
    }
    for before, unit in sorted(pumps):
        for tail in TAILS:
            yield lambda count, b=before, u=unit, t=tail: _as(
                pattern, b + u * -(-count // max(1, len(u))) + t
            )


def _as(pattern: re.Pattern[Any], text: str) -> Any:
    return text if isinstance(pattern.pattern, str) else text.encode()


def _seconds(act: Callable[[Any], Any], text: Any) -> float:
    best = 9e9
    for _ in range(3):
        start = time.thread_time()
        act(text)
        best = min(best, time.thread_time() - start)
        if not 0.001 < best < 0.05:
            break
    return best


def _is_worse_than_linear(act: Callable[[Any], Any], make: Callable[[int], Any]) -> bool:
    """By how the time grows. Short texts first, so that what doubles with each character is seen in time."""
    before = _seconds(act, make(16))
    for count in (19, 22, 25):
        now = _seconds(act, make(count))
        if now > 4 * before and now > 0.002:
            return True
        before = now
    long = _seconds(act, make(LONG))
    # Too short to measure: what tries everything twice would take a hundred times that.
    return long > 0.004 and long > 9 * _seconds(act, make(SHORT))


def _act(pattern: re.Pattern[Any], method: str) -> Callable[[Any], Any]:
    if method == "sub":
        empty: Any = "" if isinstance(pattern.pattern, str) else b""
        return lambda text: pattern.sub(empty, text)
    if method == "finditer":
        return lambda text: list(pattern.finditer(text))
    act: Callable[[Any], Any] = getattr(pattern, method)
    return act


def slow_texts(pattern: re.Pattern[Any], methods: frozenset[str]) -> list[str]:
    """The first text that is bad for it, if any."""
    slow = (
        f"{method}: {make(12)!r}"
        for method in sorted(methods)
        for make in hostile(pattern)
        if _is_worse_than_linear(_act(pattern, method), make)
    )
    return [*islice(slow, 1)]


PATTERNS = every_pattern()


def test_they_are_found() -> None:
    names = {found.name.partition(":")[0] for found in PATTERNS}
    assert {"profiles/masked_text.py", "cdp/logs.py", "imports/files/sniff.py", "profiles.Tag.name"} <= names
    unknown = {place.rpartition(":")[0] for place, _, pattern in _calls(list(_modules())) if pattern is None}
    assert unknown <= BUILT.keys(), "A pattern is built while running: check it here, and say why it is safe."


@pytest.mark.parametrize(
    ("pattern", "method"),
    [("(a+)+b", "search"), (r"\s+$", "search"), (r"\S+@\S+", "search"), (r"(a|a)*b", "fullmatch")],
)
def test_a_slow_one_is_noticed(pattern: str, method: str) -> None:
    assert slow_texts(re.compile(pattern), frozenset({method}))
    assert not slow_texts(re.compile("[^a]+"), frozenset({method}))


@pytest.mark.parametrize("found", PATTERNS, ids=lambda found: found.name)
def test_each_is_linear(found: Found) -> None:
    assert slow_texts(found.pattern, found.methods) == []


# --- Patterns that people enter -----------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)+", "(.*a){12}", "([a-z]+)*[0-9]"])
def test_a_pattern_of_an_identifier_type_is_linear(pattern: str) -> None:
    (matches,) = compile_patterns([pattern])
    assert not matches("a" * 40 + "!")
    assert not _is_worse_than_linear(matches, lambda count: "a" * count + "!")
    assert is_blocked("demo-1", frozenset(), compile_patterns([pattern, "demo-.*"]))


def test_what_a_pattern_matches() -> None:
    matches = full_matcher("demo|test-[0-9]{2}")
    assert [matches(text) for text in ("DEMO", "test-12", "test-123", "a demo", "demo\n")] == [
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("pattern", ["(open", "a)(b", "(?=a)b", r"(a)\1", "(a{1000}){1000}"])
def test_a_pattern_that_cannot_run(pattern: str) -> None:
    sentence = f"“{pattern}” is not a regular expression we can run (no look-around, no back-references)."
    with pytest.raises(BadPattern, match=re.escape(sentence)):
        full_matcher(pattern)
    with pytest.raises(BadValue, match=re.escape(sentence)):
        compile_patterns(["fine", pattern])
