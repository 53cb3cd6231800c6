"""The pages in a browser: desks in step, what comes back after a break, keys, phones, and what is said."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.api import Look
from engines.styles import Style
from realtime.control import Control
from realtime.desk import Bench, Desk
from realtime.drive import Driven, Tempo
from realtime.frames import Frame, Painted, VideoInfo
from realtime.presets import Presets
from realtime.stats import Stats

pytest.importorskip("aiohttp", reason="the page is an extra")
from realtime.web.server import WebSink

INFO = VideoInfo("numbers", 160, 96, Fraction(25), Fraction(1, 100))
WIDE, PHONE = (1280, 900), (390, 844)


def style(name: str, value: int = 80) -> Style:
    tensors = {"mean": np.full(3, value, np.float32)}
    return Style(name, tensors, np.full((12, 16, 3), value, np.uint8), "b", title=name.title())


def encode(picture: NDArray[np.uint8], name: str) -> Style:
    return style(name, int(picture.mean()))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    known = {name: style(name, 20 * k) for k, name in enumerate(("ember", "moss", "sky", "stone", "wave"), 1)}
    control = Control(Look(known["ember"]), styles=list(known), load=known.__getitem__)
    driven, presets = Driven(control, Tempo()), Presets(tmp_path / "presets")
    return Desk(Bench(control, driven, Stats(), encode, presets, "(a painter)", frozenset(known)))


@pytest.fixture
def sink(desk: Desk) -> Iterator[WebSink]:
    with WebSink(INFO, desk, port=0) as sink:
        yield sink


def painted(value: int) -> Painted:
    image = np.full((96, 160, 3), value, np.uint8)
    return Painted(Frame(image, 0, Fraction(0), time.perf_counter()), image, 0.0, 0.0)


def png(value: int = 60) -> bytes:
    return cv2.imencode(".png", np.full((40, 50, 3), value, np.uint8))[1].tobytes()


Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, sink: WebSink) -> Iterator[Open]:
    """Opens a page of `sink`, the desk unless told otherwise; fails in the end if one of them had an error."""
    problems: list[str] = []
    with ExitStack() as stack:

        def opened(address: str = sink.address, size: tuple[int, int] = WIDE) -> Any:
            page = browser.new_page(viewport={"width": size[0], "height": size[1]})
            stack.callback(page.close)
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.goto(address, wait_until="domcontentloaded")
            if address == sink.address:
                page.wait_for_selector("#styles .pick[aria-pressed=true]")
            return page

        yield opened
    assert not problems


def port_of(sink: WebSink) -> int:
    return int(sink.address.split(":")[2].split("/")[0])


def drop(page: Any, *files: tuple[str, bytes], text: str = "") -> None:
    """As from another window."""
    page.evaluate(
        """([files, text]) => {
          const given = new DataTransfer();
          for (const [name, bytes] of files) given.items.add(new File([new Uint8Array(bytes)], name));
          if (text) given.setData("text/uri-list", text);
          document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true }));
        }""",
        [[[name, list(data)] for name, data in files], text],
    )


def noted(page: Any, text: str) -> None:
    page.wait_for_selector(f"#note >> text={text}", timeout=5000)


def focused(page: Any) -> str:
    return str(page.evaluate("(e => e.textContent || e.name || e.id || e.tagName)(document.activeElement)"))


def test_what_one_desk_changes_the_others_see(desk: Desk, open_page: Open, until: Callable[..., Any]) -> None:
    first, second = open_page(), open_page()
    first.fill("#preset-name", "mine")
    first.click("#presets button[value='1']")
    second.wait_for_selector("#presets >> text=1 mine")
    desk.set({"style": "moss"})
    second.click("#presets button[value='1']")  # recalls it, and does not save over it
    until(lambda: desk.state()["style"] == "ember")
    assert desk.presets() == {"1": "mine"}
    desk.save(2, "by OSC")
    first.wait_for_selector("#presets >> text=2 by OSC")

    # Somebody is at the control that another one moves.
    second.focus("select[name=background]")
    drop(first, ("cat.png", png()))
    second.wait_for_selector("#styles .pick[value=cat][aria-pressed=true]")
    first.select_option("select[name=background]", "cat")
    until(lambda: second.input_value("select[name=background]") == "cat")
    first.get_by_role("button", name="Remove cat").click()
    noted(first, "cat is in use")
    desk.set({"style": "sky", "background": ""})
    first.get_by_role("button", name="Remove cat").click()
    second.wait_for_selector("#styles .pick[value=cat]", state="detached")
    assert "cat" not in second.inner_text("#styles") and focused(first) == "Wave"
    assert second.get_by_role("button", name="Remove").count() == 0  # the rest comes with the model


def test_a_desk_that_has_not_heard_of_a_preset_does_not_save_over_it(desk: Desk, open_page: Open) -> None:
    page = open_page()
    page.evaluate("socket.onmessage = null")  # what is told takes a moment to come
    desk.save(1, "theirs")
    page.click("#presets button[value='1']")
    noted(page, "key 1 was given to theirs in the meantime; look again")
    assert desk.presets() == {"1": "theirs"}


def test_the_pad_shows_the_mix_that_is_in_force(desk: Desk, open_page: Open, until: Callable[..., Any]) -> None:
    desk.set({"mix": {"wave": 0.56, "sky": 0.14, "moss": 0.24, "stone": 0.06}})
    page = open_page()
    pad = page.get_by_role("slider", name="Mix of the four corners")
    until(lambda: "wave 56 %" in pad.get_attribute("aria-valuetext"))
    pad.press("ArrowRight")
    until(lambda: desk.state()["mix"]["wave"] != 0.56)
    mix = desk.state()["mix"]
    assert mix == pytest.approx({"wave": 0.56, "sky": 0.14, "moss": 0.24, "stone": 0.06}, abs=0.06)  # no jump
    other = open_page()
    until(lambda: f"wave {round(100 * mix['wave'])} %" in other.locator("#pad").get_attribute("aria-valuetext"))
    desk.set({"mix": {"ember": 0.3, "moss": 0.7}})
    for shown in (page, other):
        until(lambda shown=shown: shown.locator("#pad").get_attribute("aria-valuetext") == "ember 30 %, moss 70 %")
        assert {"ember", "moss"} < {shown.input_value(f".corners select >> nth={corner}") for corner in range(4)}
    desk.set({"style": "sky"})
    until(lambda: other.locator("#pad").get_attribute("aria-valuetext") == "not in use")


def test_a_page_that_the_browser_brings_back_shows_paintings_again(sink: WebSink, open_page: Open) -> None:
    page = open_page(sink.view_address)
    for kind in ("mjpeg", "webrtc"):
        page.goto(f"{sink.view_address}?how={kind}", wait_until="domcontentloaded")
        page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
        with page.expect_request("**/painting.mjpg" if kind == "mjpeg" else "**/api/webrtc?of=painting"):
            page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")


def test_the_other_buttons_of_a_mouse_play_nothing(desk: Desk, open_page: Open, until: Callable[..., Any]) -> None:
    page = open_page()
    for button in ("right", "middle"):
        page.click("#pad", button=button, position={"x": 5, "y": 5})
        for _ in range(2):
            page.click("#tap", button=button)
    page.click("#styles .pick[value=moss]")  # changes are in order: what was sent before has been heard then
    until(lambda: desk.state()["style"] == "moss")
    assert desk.state()["bpm"] == 120 and page.get_attribute("#pad", "aria-valuetext") == "not in use"


def test_sliders_have_their_names_and_a_click_on_one_leads_to_its_slider(open_page: Open) -> None:
    page = open_page()
    names = [
        *("Strength", "Smoothing", "Stroke size", "Oil", "Keep my colours", "Fade, seconds"),
        *("Background strength", "How far"),
    ]
    for name in names:
        page.get_by_role("slider", name=name, exact=True).wait_for()
        page.click(f"label:text-is('{name}')")
        assert page.evaluate("document.activeElement.labels[0].textContent") == name


def test_pages_come_back_when_brushcast_does_and_say_what_was_not_done(
    browser: Any, desk: Desk, until: Callable[..., Any]
) -> None:
    problems: list[str] = []
    look = """() => {
      const canvas = document.querySelector("canvas");
      const pen = Object.assign(document.createElement("canvas"), { width: 8, height: 8 }).getContext("2d");
      pen.drawImage(canvas, 0, 0, 8, 8);
      return pen.getImageData(4, 4, 1, 1).data[0];
    }"""

    def shows(page: Any, value: int) -> bool:
        return abs(page.evaluate(look) - value) < 4

    with ExitStack() as stack:
        with WebSink(INFO, desk, port=0) as sink:
            sink.write(painted(90))
            port = port_of(sink)
            pages = [browser.new_page(), browser.new_page()]
            for page, address in zip(pages, (sink.view_address, sink.address), strict=True):
                stack.callback(page.close)
                page.on("pageerror", lambda error: problems.append(str(error)))
                page.goto(address, wait_until="domcontentloaded")
                until(lambda page=page: shows(page, 90))
            view, page = pages
            drop(page, ("cat.png", png()))
            page.wait_for_selector("#styles .pick[value=cat][aria-pressed=true]")
        page.wait_for_selector("#figures >> text=not connected")
        page.wait_for_selector("#preview-note >> text=trying again")
        # An audience goes on seeing the last painting, and no message over it.
        assert shows(view, 90) and view.inner_text(".lost") == ""
        for do in (
            lambda: page.dispatch_event("#tap", "pointerdown"),
            lambda: page.click("#styles .pick[value=moss]"),
            lambda: page.click("#presets button[value='1']"),
            lambda: drop(page, ("dog.png", png())),
        ):
            page.evaluate("note('')")
            do()
            noted(page, "Brushcast does not answer: nothing was changed")
        desk.set({"style": "sky"})
        desk.remove("cat")  # as another program would not have it
        with WebSink(INFO, desk, port=port) as again:
            again.write(painted(220))
            for shown in pages:
                until(lambda shown=shown: shows(shown, 220))
            page.wait_for_selector("#styles .pick[value=cat]", state="detached")
            assert page.inner_text("#preview-note") == "" and "frames/s" in page.inner_text("#figures")
    assert not problems


def test_all_pictures_are_taken_and_what_cannot_be_is_said(desk: Desk, open_page: Open) -> None:
    page = open_page(size=PHONE)
    drop(page, ("cat.png", png()), ("notes.txt", b"no picture"), ("dog.png", png(90)))
    noted(page, "painting in the style of dog; ")
    assert "notes" in page.inner_text("#note") and "not a picture" in page.inner_text("#note")
    assert {"cat", "dog"} < set(desk.state()["styles"])
    drop(page, text="http://example.com/cat.png")
    noted(page, "only pictures can be taken")
    # It is in sight, wherever the page is scrolled to.
    page.locator("#file").scroll_into_view_if_needed()
    box = page.locator("#note").bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= PHONE[1] and box["x"] >= 0
    # And so is the painting.
    assert page.locator("#preview").bounding_box()["y"] >= 0


def test_presets_are_kept_and_freed_by_keys_and_by_touch(
    desk: Desk, open_page: Open, until: Callable[..., Any]
) -> None:
    page = open_page()
    page.fill("#preset-name", "evening")
    button = page.locator("#presets button[value='3']")
    button.press("Enter")
    until(lambda: desk.presets() == {"3": "evening"})
    page.wait_for_selector("#presets >> text=3 evening")
    assert focused(page) == "3 evening"
    button.press("Delete")
    until(lambda: desk.presets() == {})
    page.get_by_role("button", name="Free key 3").wait_for(state="hidden")
    assert focused(page) == "3"
    desk.save(4, "night")
    page.get_by_role("button", name="Free key 4").click()
    until(lambda: desk.presets() == {})


def test_a_mix_that_shall_be_moved_asks_for_its_goal(desk: Desk, open_page: Open, until: Callable[..., Any]) -> None:
    page = open_page()
    page.select_option("select[name=drive]", "tempo")
    until(lambda: desk.state()["drive"] == "tempo")
    page.select_option("select[name=drive_of]", "mix")
    noted(page, "choose the style that the mix goes to")
    assert focused(page).startswith("choose") and page.input_value("select[name=drive_of]") == "mix"
    page.select_option("select[name=drive_to]", "sky")
    until(lambda: (desk.state()["drive_of"], desk.state()["drive_to"]) == ("mix", "sky"))
    page.select_option("select[name=drive]", "sound")
    noted(page, "nothing listens")
    until(lambda: page.input_value("select[name=drive]") == "tempo")  # what was refused is not shown


def test_a_model_of_one_style_leaves_no_gap(desk: Desk, browser: Any, tmp_path: Path) -> None:
    only = style("candy")
    control = Control(Look(only))
    names = frozenset(control.names)
    alone = Desk(
        Bench(control, Driven(control, Tempo()), Stats(), encode, Presets(tmp_path), "johnson-candy (x)", names)
    )
    with WebSink(INFO, alone, port=0) as sink:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(sink.address, wait_until="domcontentloaded")
        page.wait_for_selector("#styles .pick[aria-pressed=true]")
        stage, gallery = (page.locator(name).bounding_box() for name in (".stage", ".gallery"))
        assert gallery["y"] - stage["y"] - stage["height"] < 30
        assert "johnson-candy" in page.inner_text("#figures")
        page.close()


def test_styles_are_removed_by_a_call(sink: WebSink, desk: Desk) -> None:
    desk.add(png(), "cat")

    def remove(name: str) -> tuple[int, Any]:
        request = urllib.request.Request(f"{sink.address}api/styles/{name}", method="DELETE")
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    assert remove("cat") == (400, {"error": "cat is in use; choose another style first"})
    desk.set({"style": "sky"})
    assert [told["name"] for told in remove("cat")[1]] == ["ember", "moss", "sky", "stone", "wave"]
    assert remove("cat")[0] == remove("ember")[0] == 400
