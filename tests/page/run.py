#!/usr/bin/env python3
"""The report in a browser: drawn, without a complaint, and doing what its controls say.

    tests/page/run.py target/release/gradus
"""

import json
import math
import os
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from browser import Page, installed  # noqa: E402

# A hash of a picture's pixels on the screen, and how many greys it has.
PICTURE = """(() => {
  const canvas = document.querySelectorAll("canvas")[%d];
  // A copy, so that the canvas itself is not made slow by being read.
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  let hash = 0;
  const greys = new Set();
  for (let k = 0; k < data.length; k += 4) {
    hash = (hash * 31 + data[k]) | 0;
    greys.add(data[k]);
  }
  return [hash, greys.size];
})()"""
BOX = """(() => {
  const box = document.querySelectorAll("canvas")[%d].getBoundingClientRect();
  return [box.left, box.top, box.width, box.height];
})()"""
PRESS = "[...document.querySelectorAll('button')].find(one => one.textContent === %s).click()"
READOUTS = "[...document.querySelectorAll('.readout')].map(one => one.textContent.trim())"
IMAGES = "document.querySelectorAll('figure.image').length"
SHOWN = "[...document.querySelectorAll('figure.image')].filter(one => !one.hidden).length"
NAMES = "[...document.querySelectorAll('figure.view strong')].map(one => one.textContent)"
failures = []


def check(holds, words):
    print(f"{'ok    ' if holds else 'FAILED'} {words}", flush=True)
    if not holds:
        failures.append(words)


def press(page, name):
    page.evaluate(PRESS % json.dumps(name))
    page.settle()


def slide(page, name, share):
    """Moves a slider to a share of its range, as a hand does."""
    page.evaluate(f"""(() => {{
      const input = document.querySelector('input[aria-label="{name}"]');
      input.value = Number(input.min) + {share} * (input.max - input.min);
      input.dispatchEvent(new Event("input"));
    }})()""")
    page.settle()


def picture(page, k=0):
    return page.evaluate(PICTURE % k)


def place(page, caption):
    """The number of the first picture whose caption begins so."""
    return next(k for k, name in enumerate(page.evaluate(NAMES)) if name.startswith(caption))


def drawn(page, report):
    page.open(report)
    page.wait("document.querySelector('section.seen').dataset.drawn === 'yes'")
    page.settle()
    check(page.complaints() == [], f"no complaint, no request: {page.complaints()}")
    count = page.evaluate("document.querySelectorAll('figure.view').length")
    greys = [picture(page, k)[1] for k in range(count)]
    check(count >= 4 and min(greys) > 20, f"{count} pictures, of {greys} greys")


def complaints_are_heard(page, folder):
    path = os.path.join(folder, "broken.html")
    with open(path, "w", encoding="utf-8") as file:
        file.write('<!DOCTYPE html><img src="http://127.0.0.1:9/picture.png"><script>nowhere();</script>')
    page.open(path)
    found = page.complaints()
    check(any("nowhere" in one for one in found) and any("picture.png" in one for one in found),
          f"a broken page is found out: {len(found)} complaints")


def seen_without_a_script(page, report):
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(report)
    widths = page.evaluate("[...document.querySelectorAll('.screen img')].map(one => one.naturalWidth)")
    canvases = page.evaluate("document.querySelectorAll('canvas, .toolbar').length")
    check(len(widths) >= 4 and min(widths) > 100 and canvases == 0, f"without a script there are pictures: {widths}")
    page.call("Emulation.setScriptExecutionDisabled", value=False)


def slice_of(n):
    """A disc with waves in HU, as the bytes of an npy file."""
    def value(row, column):
        radius = math.hypot(row - n / 2, column - n / 2) / n
        return -1000 if radius > 0.4 else 60 + 40 * math.sin(0.3 * row) * math.cos(0.2 * column)

    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, {n}), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    values = struct.pack(f"<{n * n}f", *(value(k // n, k % n) for k in range(n * n)))
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + values


def the_page_is_fast(page, report):
    page.open(report)
    page.wait("document.querySelector('section.seen').dataset.drawn === 'yes'")
    ms = page.evaluate("performance.getEntriesByType('navigation')[0].domComplete")
    size = os.path.getsize(report)
    check(size < 2_000_000 and ms < 1000, f"{size} bytes, drawn in {ms:.0f} ms")


def windows_change_pixels(page):
    seen = {picture(page)[0]}
    for act in [lambda: press(page, "Lung"), lambda: press(page, "Soft tissue"), lambda: press(page, "Bone"),
                lambda: slide(page, "Level", 0.3), lambda: slide(page, "Width", 0.2)]:
        act()
        seen.add(picture(page)[0])
    check(len(seen) == 6, f"presets and sliders change the picture: {len(seen)} of 6 differ")
    press(page, "Soft tissue")
    ends = page.evaluate("[...document.querySelectorAll('figure.image .ramp')].map(one => one.textContent)")
    check(set(ends) == {"\u2212160240 HU"}, f"all colour bars follow: {ends}")
    error = place(page, "Error")
    before = picture(page, error)[0]
    slide(page, "Contrast", 0.5)
    check(picture(page, error)[0] != before, "contrast changes the map")
    press(page, "Full range")


def cursor_is_linked(page):
    left, top, width, height = page.evaluate(BOX % 0)
    page.mouse("mouseMoved", left + 0.5 * width, top + 0.4 * height)
    page.settle()
    found = page.evaluate(READOUTS)
    residual = found.pop(place(page, "Residual"))
    check(all(words.endswith(" HU") for words in found) and residual == "", f"values under the cursor: {found}")
    value = {name: int(found[place(page, name)].split()[0].replace("\u2212", "-"))
             for name in ["Truth", "Result", "Error"]}
    truth, result, error = value.values()
    check(abs(abs(result - truth) - error) <= 1, "the error is the difference of the two at the same place")
    page.evaluate("document.querySelector('canvas').focus()")
    before = page.evaluate("document.querySelector('.position').textContent")
    page.key("ArrowRight")
    after = page.evaluate("document.querySelector('.position').textContent")
    spoken = page.evaluate("document.querySelector('.spoken').textContent")
    check("column 64" in before and "column 65" in after, f"keys move the cursor: {before} > {after}")
    check(spoken.startswith("Truth, row 51, column 65") and spoken.endswith(" HU"), f"and it is said: {spoken}")


def zoom_is_linked(page):
    linked = [place(page, "Truth"), place(page, "Error")]
    before = [picture(page, k)[0] for k in linked]
    bar = "document.querySelector('.scale b').textContent"
    wide = page.evaluate(bar)
    press(page, "+")
    press(page, "+")
    check(all(picture(page, k)[0] != old for k, old in zip(linked, before)), "all pictures zoom")
    check(page.evaluate(bar) != wide, f"the scale bar follows: {wide} > {page.evaluate(bar)}")
    press(page, "Reset")


def profile_is_drawn(page):
    press(page, "Profile")
    left, top, width, height = page.evaluate(BOX % 0)
    page.drag((left + 0.2 * width, top + 0.5 * height), (left + 0.8 * width, top + 0.5 * height))
    words = page.evaluate("document.querySelector('.profile:not([hidden]) svg')?.getAttribute('aria-label')") or ""
    count = page.evaluate("document.querySelectorAll('.profile path.line').length")
    # 0.6 of 128 pixels of 0.661468 mm.
    check(count == page.evaluate(IMAGES) and words.startswith("Along 50.8 mm: Truth from"), f"{count} profiles: {words}")
    press(page, "Close")
    check(page.evaluate("document.querySelector('.profile').hidden"), "and taken away")
    press(page, "Cursor")


def pictures_flicker(page):
    press(page, "Truth")
    check(page.evaluate(SHOWN) == 1, "one picture in the place of all")
    press(page, "Flicker")
    name = "[...document.querySelectorAll('figure.image')].find(one => !one.hidden).querySelector('strong').textContent"
    for other in ["Filtered backprojection", "Result, preconditioned"]:
        page.wait(f"{name} === {json.dumps(other)}", 5)
    check(True, "two pictures in turns")
    press(page, "Side by side")
    check(page.evaluate(SHOWN) == page.evaluate(IMAGES) > 2, "and side by side again")


def everything_has_words(page):
    nameless = page.evaluate("""[...document.querySelectorAll("img, canvas, svg, button, input, select, [role=group]")]
      .filter(one => one.checkVisibility())
      .filter(one => !(one.alt || one.getAttribute("aria-label") || one.textContent.trim()))
      .map(one => one.outerHTML.slice(0, 80))""")
    check(nameless == [], f"everything has words for those who do not see it: {nameless}")


def the_page_fits(page):
    for width, height, is_phone in [(390, 844, True), (1280, 900, False)]:
        page.resize(width, height, is_phone)
        page.settle()
        wide = page.evaluate("document.documentElement.scrollWidth")
        check(wide <= width, f"{width} pixels are wide enough: {wide}")
    backgrounds = set()
    for scheme in ["light", "dark"]:
        page.media(scheme=scheme)
        backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    check(len(backgrounds) == 2, f"light and dark: {backgrounds}")
    page.media("print")
    display = page.evaluate("getComputedStyle(document.querySelector('.toolbar')).display")
    check(display == "none", "paper has no buttons")
    page.media()


def main(gradus):
    if installed() is None:
        print("FAILED there is no chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder, Page() as page:
        def run(*command):
            subprocess.run([os.path.abspath(gradus), *command, "--quiet"], cwd=folder, check=True)
            return os.path.join(folder, command[-1])

        report = os.path.join(run("reconstruct", "spine", "-o", "ours"), "report.html")
        drawn(page, report)
        for part in [windows_change_pixels, cursor_is_linked, zoom_is_linked, profile_is_drawn, pictures_flicker,
                     everything_has_words, the_page_fits]:
            part(page)
        check(page.complaints() == [], f"no complaint at the end: {page.complaints()}")
        seen_without_a_script(page, report)
        complaints_are_heard(page, folder)
        with open(os.path.join(folder, "slice.npy"), "wb") as file:
            file.write(slice_of(256))
        fast = ["reconstruct", "slice.npy", "--unit", "hu", "--method", "tv", "--tv-iterations", "50", "-o", "large"]
        the_page_is_fast(page, os.path.join(run(*fast), "report.html"))
        run("reconstruct", "spine", "--method", "tv", "-o", "tv")
        drawn(page, run("compare", "ours", "tv", "-o", "compare.html"))
        everything_has_words(page)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
