// Mouse, pen, finger and keys on a view.

function listen(view, scene, announce) {
  const { canvas, frame, grey } = view;
  let start = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) {
      return;
    }
    const { lo, hi } = grey;
    const { left, top } = frame;
    start = { x: event.clientX, y: event.clientY, place: view.placeOf(event), left, top, lo, hi };
    canvas.setPointerCapture(event.pointerId);
    follow(event);
  });
  canvas.addEventListener("pointermove", follow);
  canvas.addEventListener("pointerup", () => (start = null));
  canvas.addEventListener("pointercancel", () => (start = null));
  canvas.addEventListener("pointerleave", (event) => {
    if (!start && event.pointerType === "mouse") {
      frame.cursor = null;
      scene.redraw();
    }
  });
  canvas.addEventListener("wheel", (event) => {
    // A wheel alone moves the page, as everywhere else on it.
    if (event.ctrlKey || scene.mode === "move") {
      event.preventDefault();
      scene.zoom(frame, 2 ** (-event.deltaY / 240), view.placeOf(event));
    }
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => scene.zoom(frame, 2, view.placeOf(event)));
  canvas.addEventListener("keydown", (event) => {
    if (key(view, scene, event)) {
      event.preventDefault();
      announce(view);
    }
  });

  function follow(event) {
    const place = view.placeOf(event);
    frame.cursor = place;
    if (start) {
      const box = canvas.getBoundingClientRect();
      drag(view, scene, start, [(event.clientX - start.x) / box.width, (event.clientY - start.y) / box.height], place);
    }
    scene.redraw();
  }
}

// What a drag by a share of the picture's width and height does.
function drag({ frame, grey }, scene, start, [across, down], place) {
  if (scene.mode === "move") {
    scene.moveTo(frame, start.left - across / frame.zoom, start.top - down / frame.zoom);
  } else if (scene.mode === "profile") {
    frame.line = { from: start.place, to: place };
  } else if (scene.mode === "window") {
    // As at a workstation: to the right wider, down brighter.
    const width = start.hi - start.lo;
    grey.setLevel(0.5 * (start.lo + start.hi) - down * width, width * 2 ** (2 * across));
  }
}

// Moves the cursor or zooms by a key; false for keys that mean nothing here.
function key({ frame, pixels }, scene, event) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.key in steps) {
    const far = event.shiftKey ? 10 : 1;
    const [across, down] = steps[event.key];
    const from = frame.cursor || { u: frame.left + 0.5 / frame.zoom, v: frame.top + 0.5 / frame.zoom };
    const [column, row] = pixels.pixelAt(from);
    const middle = (at, size) => (Math.min(size - 1, Math.max(0, at)) + 0.5) / size;
    frame.cursor = {
      u: middle(column + far * across, pixels.width),
      v: middle(row + far * down, pixels.height),
    };
  } else if (event.key === "+" || event.key === "=") {
    scene.zoom(frame, 1.5, frame.cursor || undefined);
  } else if (event.key === "-") {
    scene.zoom(frame, 1 / 1.5, frame.cursor || undefined);
  } else {
    return false;
  }
  scene.redraw();
  return true;
}
