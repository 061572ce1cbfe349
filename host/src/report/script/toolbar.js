// The controls over the pictures.

// A named group of controls.
function group(name, ...children) {
  return element("div", { role: "group", "aria-label": name, class: "group" }, ...children);
}

function button(name, act) {
  const made = element("button", { type: "button" }, name);
  made.addEventListener("click", act);
  return made;
}

// Buttons of which one is down; `choose` learns the value, and whether it was chosen by hand.
function choice(name, options, choose) {
  const buttons = options.map(([words, value]) => button(words, () => select(value, true)));
  const select = (value, isByHand = false) => {
    buttons.forEach((one, k) => one.setAttribute("aria-pressed", String(options[k][1] === value)));
    choose(value, isByHand);
  };
  return { box: group(name, element("span", { class: "name" }, name), ...buttons), select };
}

// A slider with its name and its value in words.
function slider(name, { min, max, step }, move) {
  const input = element("input", { type: "range", min, max, step, "aria-label": name });
  const output = element("output");
  input.addEventListener("input", () => move(Number(input.value)));
  const show = (value, words) => {
    input.value = value;
    input.setAttribute("aria-valuetext", words);
    output.textContent = words;
  };
  return { box: element("label", { class: "slider" }, element("span", { class: "name" }, name), input, output), show };
}

// Level, width and the presets of the pictures that share a window.
function windowControls(scene, grey, views) {
  const { pixels } = views[0];
  const ends = views.flatMap(({ pixels: { intercept, slope } }) => [intercept, intercept + slope * (MISSING - 1)]);
  const [min, max] = [Math.min(grey.lo, ...ends), Math.max(grey.hi, ...ends)];
  const step = Math.max((max - min) / 1000, Number.MIN_VALUE);
  const set = (level, width) => {
    grey.setLevel(level, width);
    scene.redraw();
  };
  const level = slider("Level", { min, max, step }, (value) => set(value, grey.width));
  const range = { min: step, max: Math.max(max - min, 2 * step), step };
  const width = slider("Width", range, (value) => set(grey.level, value));
  const presets = pixels.unit === "HU" ? PRESETS.map(([name, l, w]) => button(name, () => set(l, w))) : [];
  const full = button("Full range", () => set(0.5 * (grey.first.lo + grey.first.hi), grey.first.hi - grey.first.lo));
  scene.follow(() => {
    level.show(grey.level, pixels.text(grey.level));
    width.show(grey.width, pixels.text(grey.width));
  });
  return group("Window", element("span", { class: "name" }, "Window"), ...presets, full, level.box, width.box);
}

// The contrast of one map, which has a window of its own.
function contrastControl(scene, view) {
  const { grey, figure } = view;
  const { lo, hi } = grey.first;
  if (!(hi > lo)) {
    return;
  }
  const contrast = slider("Contrast", { min: 0, max: 5, step: 0.05 }, (value) => {
    const factor = 2 ** -value;
    // Black stays at 0 where it is there; a window over both signs stays around its middle.
    const middle = lo < 0 && hi > 0 ? 0.5 * (lo + hi) : lo;
    grey.set(middle + (lo - middle) * factor, middle + (hi - middle) * factor);
    scene.redraw();
  });
  scene.follow(() => {
    const factor = (hi - lo) / grey.width;
    contrast.show(Math.log2(factor), `\u00d7 ${decimal(factor, 1)}`);
  });
  figure.querySelector("figcaption").append(contrast.box);
}

// Zoom of all frames, and what a drag does.
function handControls(scene) {
  const all = (act) => () => {
    scene.frames.forEach(act);
    scene.redraw();
  };
  const drags = [["Cursor", "cursor"], ["Window", "window"], ["Move", "move"], ["Profile", "profile"]];
  const drag = choice("Drag", drags, (mode) => {
    scene.mode = mode;
    scene.views.forEach(({ canvas }) => (canvas.dataset.mode = mode));
  });
  drag.select("cursor");
  const reset = (frame) => Object.assign(frame, { zoom: 1, left: 0, top: 0, line: null });
  const zoom = group("Zoom", element("span", { class: "name" }, "Zoom"),
    button("+", all((frame) => scene.zoom(frame, 1.5))),
    button("\u2212", all((frame) => scene.zoom(frame, 1 / 1.5))),
    button("Reset", all(reset)));
  const [more, less] = zoom.querySelectorAll("button");
  more.setAttribute("aria-label", "Zoom in");
  less.setAttribute("aria-label", "Zoom out");
  return [drag.box, zoom];
}
