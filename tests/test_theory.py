"""The page `minuddm/THEORY.md`: its labels, what it points to, its sources, and its mathematics.

GitHub finds mathematics *after* it has read the Markdown, so that inside `$…$` a backslash before
punctuation, an emphasis or a cell's bar is gone by then. What the rules below forbid is that.
"""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "minuddm" / "THEORY.md"
TEXT = PAGE.read_text(encoding="utf-8")
PROSE, *_ = re.subn(r"^```math\n.*?^```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)
DISPLAYED = re.findall(r"^```math\n(.*?)^```$", TEXT, flags=re.DOTALL | re.MULTILINE)
WORDS = re.sub(r"`[^`\n]*`", "code", PROSE)  # without code spans
INLINE = [part for line in WORDS.splitlines() for part in line.split("$")[1::2]]
ENTRIES = re.findall(r"^### \[(T\d+)\] (.*?)(?=^##|\Z)", TEXT, flags=re.DOTALL | re.MULTILINE)
STATED = [label for label, _ in ENTRIES]
KEYS = re.findall(r"^- \*\*\[([A-Z]\w+ \d{4}[a-z]?)\]\*\* ", TEXT, flags=re.MULTILINE)
MACROS = set(re.findall(r"\w+", """
    Bigl Bigr Longrightarrow Phi Pr Vert alpha approx arg ast bar beta bigl bigr binom cdot cos cosh
    delta ell exp frac gamma ge gt hat in infty int kappa lambda le ldots leftarrow ll ln log
    longrightarrow lt mathbb mathcal mathrm max mid min mu nabla ne partial pi pm prod propto psi
    qquad quad rho sigma sqrt sum tanh tau text tfrac theta times to top varepsilon varphi vert xi
"""))  # fmt: skip


def cited():
    """Label → the files that cite it, other than this page and its test."""
    found: dict[str, set[str]] = {}
    for folder in ("minuddm", "hopfield", "experiments", "tests"):
        for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.md")]:
            if path not in (PAGE, Path(__file__)):
                for label in re.findall(r"\[(T\d+)\]", path.read_text(encoding="utf-8")):
                    found.setdefault(label, set()).add(path.name)
    for label in re.findall(r"\[(T\d+)\]", (ROOT / "README.md").read_text(encoding="utf-8")):
        found.setdefault(label, set()).add("README.md")
    return found


def test_each_label_is_stated_once_and_in_order():
    numbers = [int(label[1:]) for label in STATED]
    assert numbers == sorted(set(numbers))


def test_every_label_that_is_cited_is_stated_here():
    for label, files in (
        cited() | {x: {PAGE.name} for x in re.findall(r"\[(T\d+)\]", TEXT)}
    ).items():
        assert label in STATED, f"{sorted(files)} cite [{label}]"


def test_every_label_is_cited_or_marked_as_background():
    for label, entry in ENTRIES:
        assert label in cited() or "background" in entry.splitlines()[0], label


@pytest.mark.parametrize("entry", [text for _, text in ENTRIES], ids=STATED)
def test_every_entry_says_where_it_stands_and_what_holds_it(entry):
    [line] = [line for line in entry.splitlines() if line.startswith("*Code:* `")]
    assert re.search(r" \*Tests:\* `(test_|minuddm\.laws\.)", line)


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:minuddm|hopfield|experiments)\.[\w.]+)`", TEXT)))
)
def test_everything_the_page_points_to_exists(name):
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            there = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[k:]:
            there = getattr(there, attribute)
        return
    raise AssertionError(name)


def test_every_test_the_page_names_exists():
    defined = {
        node.name
        for path in (ROOT / "tests").glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert not set(re.findall(r"`(test_\w+)`", TEXT)) - defined


def test_every_source_is_listed_once_and_used():
    assert len(set(KEYS)) == len(KEYS)
    body, listed = TEXT.split("\n## Sources\n")
    assert set(re.findall(r"\[([A-Z]\w+ \d{4}[a-z]?)\]", body)) <= set(KEYS)
    for line in listed.strip().splitlines():
        if line.startswith("- "):
            key = line.split("]")[0].split("[")[1]
            assert f"[{key}]" in body or "`" in line, f"{key} is cited nowhere"
            assert re.search(r"arXiv \d{4}\.\d{5}|\d", line.split("**", 2)[2]), line


def test_displayed_mathematics_is_fenced_and_closed():
    assert TEXT.count("```") == 2 * len(DISPLAYED)
    for formula in DISPLAYED:
        assert formula.strip()
        assert "$" not in formula
        assert not re.search(r"\n\s*\n", formula)


def test_inline_mathematics_is_closed_on_its_line_and_stands_free():
    for line in WORDS.splitlines():
        assert line.count("$") % 2 == 0, line
        for k, part in enumerate(line.split("$")):
            if k % 2 == 0:
                assert k == 0 or part == "" or part[0] in " .,;:)?", line
                assert k == line.count("$") or part == "" or part[-1] in " (", line


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (r"^\s|\s$|^$", "no space inside the delimiters"),
        (r"\\[^A-Za-z]", "Markdown eats a backslash before punctuation"),
        (r"[|<>*`~#%&]", "Markdown reads it first; say \\vert, \\lt, \\ast"),
        (r"(?<![A-Za-z0-9])_", "an underscore after punctuation may open an emphasis"),
        (r"\]\(", "a link"),
    ],
)
def test_inline_mathematics_survives_markdown(wrong, why):
    assert not [part for part in INLINE if re.search(wrong, part)], why


@pytest.mark.parametrize("formulas", [INLINE, DISPLAYED], ids=["inline", "displayed"])
def test_formulas_use_known_macros_and_balance_their_brackets(formulas):
    for formula in formulas:
        assert set(re.findall(r"\\([A-Za-z]+)", formula)) <= MACROS, formula
        for left, right in ("{}", ("\\bigl", "\\bigr"), ("\\Bigl", "\\Bigr")):
            assert formula.count(left) == formula.count(right), formula
