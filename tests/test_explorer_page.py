"""The page in a real browser: it plays to the end, by mouse or keyboard, wide or narrow."""

import json
import re
import threading

import numpy as np
import pytest

from experiments.explorer.page import page
from experiments.explorer.server import Server
from tests.browser import ENTER, LEFT, MISSING, RIGHT, SPACE, TAB, opened
from tests.test_explorer import ALONE, MASKED, UNIFORM, answer, messages

pytestmark = pytest.mark.skipif(  # a browser is no Python package; `.ci/run` installs one
    MISSING is not None, reason=f"nothing to try the page in: {MISSING}"
)

READY = "document.querySelector('main').getAttribute('aria-busy') === 'false'"
END = "document.getElementById('step').value === document.getElementById('step').max"
CELLS = "[...document.querySelectorAll('#{} li')].map((cell) => cell.className)"


@pytest.fixture(scope="module")
def url():
    data = messages.data([UNIFORM, MASKED, ALONE])
    with Server(0, page(data), answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("profile")) as window:
        window.open("about:blank")
        window.requested()  # of the browser's own first page
        yield window


@pytest.fixture
def browser(window, url):
    """The page, just loaded; afterwards it must not have complained, nor asked anybody else."""
    window.width(1280)
    window.open(url)
    window.wait(READY)
    yield window
    assert window.said() == []
    asked = window.requested()
    assert url in asked
    assert all(there.startswith((url, "data:")) for there in asked)


def text(browser, name):
    return browser.run("return document.getElementById(arguments[0]).innerText", name)


def press(browser, name):
    browser.run("document.getElementById(arguments[0]).click()", name)


def choose(browser, name, value):
    browser.run("""const [name, value] = arguments, it = document.getElementById(name);
                   it.value = value;
                   for (const kind of ["input", "change"]) it.dispatchEvent(new Event(kind));""",
                name, value)  # fmt: skip


def shown(browser):
    return browser.run("return view.shown")


def test_it_plays_to_the_end_and_says_what_came_back(browser):
    assert (
        text(browser, "now") == "step 0 of 3"
    )  # t = .5 on eight intervals is 4 steps and the last
    press(browser, "play")
    assert text(browser, "play") == "Pause"
    browser.wait(END)
    browser.wait("document.getElementById('play').innerText === 'Play'")
    assert re.match(r"Network: \d of \d damaged tokens back", text(browser, "status"))
    for one in browser.run(
        "return view.restorings.map(({model, tokens}) => [model, tokens.at(-1)])"
    ):
        model, tokens = one
        right = np.array(tokens) == browser.run("return view.clean")
        was = np.array(shown(browser)) != browser.run("return view.clean")
        wanted = np.where(right, np.where(was, "back", ""), "wrong").tolist()
        assert browser.run(f"return {CELLS.format(model)}") == wanted
    press(browser, "play")  # once more, from the beginning
    assert text(browser, "now").startswith("step 0 of")
    press(browser, "play")
    assert text(browser, "play") == "Play"


def test_what_is_shown_is_what_was_answered(browser):
    """Numbers of tokens, their colours, and the curves: at every step, of every model."""
    for _ in range(browser.run("return last()") + 1):
        for one in browser.run("""return view.restorings.map((one) => {
            const k = Math.min(view.step, one.tokens.length - 1);
            return [one.model, one.tokens[k], one.entropy[k], one.cost[k]]; })"""):
            model, tokens, entropy, cost = one
            cells = browser.run(
                "return [...document.querySelectorAll(arguments[0])].map((cell) => "
                "[...cell.children].map((part) => part.textContent))", f"#{model} li"
            )  # fmt: skip
            assert [cell[0] for cell in cells] == ["abc␣<"[token] for token in tokens]
            for cell, H in zip(cells, entropy, strict=True):
                assert float(cell[1]) == pytest.approx(H, abs=0.05 if H >= 1 else 0.005001)
            [curve, _] = browser.run(
                "return [...document.querySelectorAll(arguments[0])].map((b) => b.textContent)",
                f"#{model} figcaption b",
            )
            assert float(curve.replace("−", "-")) == pytest.approx(cost, abs=0.005001)
        press(browser, "on")
    assert browser.run(f"return {END}")


def test_a_token_that_is_pressed_is_damaged_and_mended(browser):
    before = shown(browser)
    clean = browser.run("return view.clean")
    k = next(k for k in range(6) if before[k] == clean[k])
    for wanted in (True, False):
        browser.run("document.querySelectorAll('#shown button')[arguments[0]].click()", k)
        browser.wait(READY)
        after = shown(browser)
        assert (after[k] != clean[k]) is wanted
        assert after[:k] + after[k + 1 :] == before[:k] + before[k + 1 :]
        pressed = "return document.querySelectorAll('#shown button')[arguments[0]].ariaPressed"
        assert browser.run(pressed, k) == json.dumps(wanted)


def test_everything_is_chosen_by_hand(browser):
    first = shown(browser)
    press(browser, "draw")
    browser.wait(READY)
    assert shown(browser) != first
    assert browser.run("return view.clean") == UNIFORM.training[0].tolist()
    press(browser, "next")
    browser.wait(READY)
    assert browser.run("return view.clean") == UNIFORM.training[1].tolist()
    browser.run("document.querySelector('[value=unseen]').click()")
    browser.wait(READY)
    assert browser.run("return view.clean") == UNIFORM.unseen[1].tolist()
    choose(browser, "t", "1")
    browser.wait("view.t === 1 && view.restorings[0].times[0] === 1")
    assert text(browser, "t-now") == "1.00"


def test_a_masked_network_shows_masks_and_has_no_memory_beside_it(browser):
    choose(browser, "run", "1")
    browser.wait(READY)
    choose(browser, "t", "1")
    browser.wait("view.restorings[0].times[0] === 1")
    glyphs = "return [...document.querySelectorAll('#shown .glyph')].map((one) => one.innerText)"
    assert browser.run(glyphs) == ["□"] * 6
    assert browser.run("return view.restorings.length") == 2
    assert "masked" in text(browser, "network")
    browser.run("go(last())")
    assert "□" not in text(browser, "network")


def test_typed_text_is_filled_up_and_what_is_not_in_the_alphabet_is_named(browser):
    browser.run("document.querySelector('[value=typed]').click()")
    assert "“t” is not in the alphabet: abc <" in text(browser, "status")
    choose(browser, "typed", "cab")
    browser.wait("view.clean.join() === '2,0,1,3,3,3'")
    browser.wait(READY)


def test_a_network_whose_sequences_are_unknown_takes_typed_ones(browser):
    choose(browser, "typed", "cab bc")
    choose(browser, "run", "2")
    browser.wait("view.source === 'typed'")
    browser.wait(READY)
    disabled = "return [...document.getElementsByName('source')].map((radio) => radio.disabled)"
    assert browser.run(disabled) == [True, True, False]
    assert browser.run("return view.restorings.length") == 1
    assert "sequences were not found" in text(browser, "columns")
    choose(browser, "run", "0")
    browser.wait("view.restorings.length === 3")


def test_all_of_it_works_without_a_mouse(browser):
    names = []
    for _ in range(14):
        browser.press(TAB)
        names.append(browser.run(
            "const it = document.activeElement;"
            "return it.id || it.name || it.parentNode.parentNode.id"
        ))  # fmt: skip
        outline = "return getComputedStyle(document.activeElement).outlineStyle"
        assert browser.run(outline) == "solid"  # one sees where one is
        if names[-1] == "step":
            break
    assert names == ["run", "source", "next", "t", "draw", "shown", "play", "back", "on", "step"]
    browser.press(RIGHT)
    assert text(browser, "now").startswith("step 1 of")
    browser.run("document.querySelector('#shown button').focus()")
    browser.press(RIGHT)
    clean = browser.run("return view.clean[1]")
    was = shown(browser)[1] != clean
    browser.press(SPACE)
    browser.wait(READY)
    assert (shown(browser)[1] != clean) is not was
    assert browser.run("return document.activeElement.ariaLabel").startswith("position 2: ")
    browser.press(LEFT)
    assert browser.run("return document.activeElement.ariaLabel").startswith("position 1: ")
    browser.run("document.getElementById('play').focus()")
    browser.press(ENTER)
    browser.wait(END)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable(browser, width, scheme):
    """Nothing sticks out, letters are large enough, and every text stands out from what is behind.

    4.5 is the least contrast of WCAG 2.1, level AA.
    """
    browser.width(width)
    browser.prefer(prefers_color_scheme=scheme)
    browser.run("document.getElementById('step').value = last(); go(last())")
    browser.wait("document.getAnimations().length === 0")
    assert browser.run("return document.documentElement.scrollWidth") == width
    assert browser.run("return document.querySelectorAll('.number').length") == 6 * 3
    found = browser.legibility()
    assert found["smallest"] >= 12
    assert found["contrast"] >= 4.5, found
    tops = browser.run("return [...document.querySelectorAll('#columns > *')].map("
                       "(it) => it.getBoundingClientRect().top)")  # fmt: skip
    assert len(set(tops)) == (3 if width == 390 else 1)  # one column, or three
    browser.run("document.getElementById('columns').lastChild.scrollIntoView()")
    top = "return document.getElementById('transport').getBoundingClientRect().top"
    assert browser.run(top) >= 0  # who looks at the last model can still play


def test_what_moves_stands_still_for_who_wants_it_so(browser):
    moved = "return getComputedStyle(document.querySelector('#network li')).transitionDuration"
    assert browser.run(moved) != "0s"
    browser.prefer(prefers_reduced_motion="reduce")
    assert browser.run(moved) == "0s"
    browser.prefer(prefers_reduced_motion="no-preference")


@pytest.mark.parametrize(
    ("tag", "attribute", "directive"),
    [("fetch", "", "connect-src"), ("script", "src", "script-src-elem"), ("img", "src", "img-src"),
     ("iframe", "src", "frame-src"), ("form", "action", "form-action")],
)  # fmt: skip
def test_the_policy_is_in_force(window, url, tag, attribute, directive):
    """Even if there were a way to put something into the page."""
    window.open(url)
    window.wait(READY)
    assert window.violated(tag, attribute) == directive
    assert window.run("return window.intruder === undefined")
    assert window.said()  # of what was refused
    window.requested()


def test_an_exported_page_plays_without_a_server(window, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(page(messages.recorded([UNIFORM, MASKED], [0.1, 0.5, 1.0], 8)))
    window.width(1280)
    window.open(file.as_uri())
    window.wait(READY)
    seen = set()
    for run in "01":
        choose(window, "run", run)
        for source in messages.SOURCES:
            window.run("document.querySelector(`[value=${arguments[0]}]`).click()", source)
            for t in "012":
                choose(window, "t", t)
                window.wait(f"view.restorings[0].times[0] === DATA.times[{t}]")
                press(window, "play")
                window.run("go(last())")
                seen.add(json.dumps(window.run("return view.restorings.map((one) => one.tokens)")))
    assert len(seen) > 6  # of twelve runs; some of so short sequences are the same
    assert window.run("return document.querySelector('[value=typed]').disabled")
    assert window.said() == []
    assert all(there.startswith(("file:", "data:")) for there in window.requested())
