// The values of all pictures along the line that was drawn, as a chart.

const SVG = "http://www.w3.org/2000/svg";
const CHART = { width: 720, height: 260, left: 64, right: 12, top: 10, bottom: 38 };
const SAMPLES = 400;

class Profile {
  constructor(views) {
    this.views = views;
    this.legend = element("ul", { class: "legend" });
    this.chart = drawn("svg", { viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img" });
    const close = button("Close", () => {
      views[0].frame.line = null;
      views[0].scene.redraw();
    });
    const title = element("figcaption", {}, element("strong", {}, "Profile along the line"), close);
    this.figure = element("figure", { class: "profile" }, title, this.chart, this.legend);
    this.figure.hidden = true;
  }

  draw() {
    const line = this.views[0].frame.line;
    const drawn = JSON.stringify(line);
    if (this.drawn === drawn) {
      return;
    }
    this.drawn = drawn;
    const length = line ? this.length(line) : 0;
    this.figure.hidden = length === 0;
    if (length > 0) {
      this.show(line, length);
    }
  }

  // In mm, or in pixels where their size is not known.
  length({ from, to }) {
    const { rows, columns, pixelMm } = this.views[0].pixels;
    return Math.hypot((to.u - from.u) * columns, (to.v - from.v) * rows) * (pixelMm || 1);
  }

  show(line, length) {
    const at = (share) => ({
      u: line.from.u + share * (line.to.u - line.from.u),
      v: line.from.v + share * (line.to.v - line.from.v),
    });
    const curves = this.views.map(({ pixels }) =>
      Array.from({ length: SAMPLES + 1 }, (_, k) => pixels.at(at(k / SAMPLES))));
    const values = curves.flat().filter((value) => !Number.isNaN(value));
    const widen = ([lo, hi], value) => [Math.min(lo, value), Math.max(hi, value)];
    const [lo, hi] = values.reduce(widen, [Infinity, -Infinity]);
    const spread = hi > lo ? hi - lo : 1;
    const { width, height, left, right, top, bottom } = CHART;
    const x = { from: 0, to: length, place: (value) => left + (value / length) * (width - left - right) };
    const y = {
      from: lo - 0.05 * spread,
      to: hi + 0.05 * spread,
      place: (value) => height - bottom - ((value - lo + 0.05 * spread) / (1.1 * spread)) * (height - top - bottom),
    };
    const paths = curves.map((curve, k) => path(curve, k, (step) => x.place((step / SAMPLES) * length), y.place));
    this.chart.replaceChildren(...this.axes(x, y), ...paths);
    this.chart.setAttribute("aria-label", this.words(curves, length));
    const named = ({ name }, k) => element("li", {}, element("i", { class: `curve-${k % 6}` }), name);
    this.legend.replaceChildren(...this.views.map(named));
  }

  axes(x, y) {
    const { width, height, left, right, top, bottom } = CHART;
    const { pixels } = this.views[0];
    const text = (x, y, anchor, words) => {
      const made = drawn("text", { x, y, "text-anchor": anchor, class: "tick" });
      made.textContent = words;
      return made;
    };
    const rows = ticks(y).flatMap(([value, words]) => [
      drawn("path", { class: "grid", d: `M${left} ${y.place(value)}H${width - right}` }),
      text(left - 6, y.place(value) + 4, "end", words),
    ]);
    const columns = ticks(x).map(([value, words]) => text(x.place(value), height - bottom + 17, "middle", words));
    const frame = drawn("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}` });
    const unit = text(left + 6, top + 12, "start", pixels.unit);
    return [...rows, ...columns, frame, unit, text(width - right, height - 4, "end", pixels.pixelMm ? "mm" : "pixels")];
  }

  words(curves, length) {
    const ends = ({ name, pixels }, k) => {
      const known = curves[k].filter((value) => !Number.isNaN(value));
      return `${name} from ${pixels.text(Math.min(...known))} to ${pixels.text(Math.max(...known))}`;
    };
    const { pixelMm } = this.views[0].pixels;
    return `Along ${length.toFixed(1)} ${pixelMm ? "mm" : "pixels"}: ${this.views.map(ends).join("; ")}`;
  }
}

function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  return made;
}

// A curve, broken where there is no value.
function path(curve, k, across, up) {
  let isDown = false;
  const points = curve.map((value, step) => {
    const command = isDown ? "L" : "M";
    isDown = !Number.isNaN(value);
    return isDown ? `${command}${across(step).toFixed(1)} ${up(value).toFixed(1)}` : "";
  });
  return drawn("path", { class: `line curve-${k % 6}`, d: points.join("") });
}

// Round values between the ends of an axis, with their words.
function ticks({ from, to }) {
  const step = roundBelow((to - from) / 4);
  const decimals = Math.max(0, -Math.floor(Math.log10(step)));
  const first = Math.ceil(from / step);
  const count = Math.floor(to / step) - first + 1;
  return Array.from({ length: count }, (_, k) => (first + k) * step).map((value) => [value, decimal(value, decimals)]);
}
