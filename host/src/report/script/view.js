// One picture on a canvas: its part in sight, the cursor, the line of the profile, the scale bar.

const CURSOR = "#ffd84d";
const LINE = "#4dd8ff";

class View {
  // `scene` is what all views share; `grey` the window of this one and those like it.
  constructor(figure, scene, grey) {
    this.figure = figure;
    this.scene = scene;
    this.grey = grey;
    this.pixels = new Pixels(figure);
    this.name = figure.querySelector("figcaption strong").textContent;
    // Views of the same frame show the same place at the same point.
    const plane = figure.dataset.kind === "sinogram" ? "sinogram" : "image";
    this.frame = scene.frame(`${plane} ${this.pixels.rows} x ${this.pixels.columns}`);
    this.screen = figure.querySelector(".screen");
    this.scale = figure.querySelector(".scale");
    this.ends = figure.querySelectorAll(".ramp span");
    this.canvas = element("canvas", {
      tabindex: "0",
      role: "application",
      "aria-label": `${this.name}: arrow keys move the cursor, plus and minus zoom`,
    });
    this.readout = element("output", { class: "readout", "aria-live": "off" });
    this.screen.append(this.canvas);
    figure.querySelector("figcaption").append(this.readout);
    this.bitmap = document.createElement("canvas");
    this.bitmap.width = this.pixels.width;
    this.bitmap.height = this.pixels.height;
    new ResizeObserver(() => scene.redraw()).observe(this.screen);
  }

  // The place in the picture under a point of the screen.
  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const { zoom, left, top } = this.frame;
    const [u, v] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    return { u: left + u / zoom, v: top + v / zoom };
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.screen.clientWidth * ratio, this.screen.clientHeight * ratio].map(Math.round);
    if (width === 0 || height === 0) {
      return;
    }
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.paint();
    const { zoom, left, top, line } = this.frame;
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    // Squares where pixels are magnified; means where they are made smaller.
    context.imageSmoothingEnabled = width * zoom < this.pixels.width;
    context.drawImage(this.bitmap, -left * zoom * width, -top * zoom * height, zoom * width, zoom * height);
    const onScreen = ({ u, v }) => [(u - left) * zoom * width, (v - top) * zoom * height];
    if (line) {
      this.drawLine(context, onScreen(line.from), onScreen(line.to), ratio);
    }
    if (this.frame.cursor) {
      this.drawCursor(context, onScreen(this.frame.cursor), ratio);
    }
    this.label();
  }

  // The pixels in the window's greys, where that has changed.
  paint() {
    const window = `${this.grey.lo} ${this.grey.hi}`;
    if (this.painted === window) {
      return;
    }
    this.painted = window;
    const { width, height, levels } = this.pixels;
    const table = this.grey.table(this.pixels);
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let k = 0; k < levels.length; k += 1) {
      pixels[k] = 0xff000000 | (0x10101 * table[levels[k]]);
    }
    this.bitmap.getContext("2d").putImageData(image, 0, 0);
    const [black, white] = this.ends;
    black.textContent = this.pixels.short(this.grey.lo);
    white.textContent = this.pixels.withUnit(this.pixels.short(this.grey.hi));
  }

  drawLine(context, from, to, ratio) {
    context.strokeStyle = LINE;
    context.lineWidth = 1.5 * ratio;
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    // The end that the profile starts from.
    context.beginPath();
    context.arc(...from, 4 * ratio, 0, 2 * Math.PI);
    context.stroke();
  }

  // A cross with a gap, so that the pixel itself is seen.
  drawCursor(context, [x, y], ratio) {
    const [gap, reach] = [5 * ratio, 16 * ratio];
    context.strokeStyle = CURSOR;
    context.lineWidth = 1.25 * ratio;
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + gap * dx, y + gap * dy);
      context.lineTo(x + reach * dx, y + reach * dy);
    }
    context.stroke();
  }

  // The value under the cursor, and the scale bar.
  label() {
    const { cursor, zoom } = this.frame;
    this.readout.textContent = cursor ? this.pixels.text(this.pixels.at(cursor)) : "\u00a0";
    if (this.scale) {
      const across = (this.pixels.columns * this.pixels.pixelMm) / zoom;
      const bar = roundBelow(0.35 * across);
      this.scale.style.width = `${(100 * bar) / across}%`;
      this.scale.firstElementChild.textContent = `${Number(bar.toPrecision(1))} mm`;
    }
  }
}
