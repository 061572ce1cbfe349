// The values of one picture, read from the data attributes of its figure.

// The level that stands for a value that is no number.
const MISSING = 4095;

class Pixels {
  constructor(figure) {
    const number = (name) => Number(figure.dataset[name]);
    this.width = number("width");
    this.height = number("height");
    // Rows and columns of the image itself; of a large one, a pixel here is the mean of `block` x `block` there.
    this.rows = number("rows");
    this.columns = number("columns");
    this.block = number("block");
    this.pixelMm = number("pixelMm") || 0;
    this.unit = figure.dataset.unit;
    this.slope = number("slope");
    this.intercept = number("intercept");
    this.levels = decode(figure.dataset.pixels, this.width * this.height);
    // As many decimals as one in a thousand of the range needs; nobody reads parts of a Hounsfield unit.
    const range = this.slope * (MISSING - 1);
    const decimals = range > 0 ? Math.min(9, Math.max(0, 3 - Math.floor(Math.log10(range)))) : 3;
    this.decimals = this.unit === "HU" ? 0 : decimals;
  }

  // The column and the row of the pixel at a place in the picture, 0 to 1 from left to right and from top to bottom.
  pixelAt({ u, v }) {
    const clamp = (at, size) => Math.min(size - 1, Math.max(0, Math.floor(at * size)));
    return [clamp(u, this.width), clamp(v, this.height)];
  }

  // The value there; NaN where the image has none.
  at(place) {
    const [column, row] = this.pixelAt(place);
    const level = this.levels[row * this.width + column];
    return level === MISSING ? NaN : this.intercept + this.slope * level;
  }

  text(value) {
    return Number.isNaN(value) ? "no value" : this.withUnit(decimal(value, this.decimals));
  }

  // Without a tail of zeros.
  short(value) {
    const text = decimal(value, this.decimals);
    return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  }

  withUnit(text) {
    return this.unit ? `${text} ${this.unit}` : text;
  }
}

// Base64 of 12-bit numbers, two in three bytes, the low bits first.
function decode(base64, count) {
  const text = atob(base64);
  const levels = new Uint16Array(count);
  for (let k = 0; k < count; k += 1) {
    const first = 3 * (k >> 1) + (k & 1);
    const pair = text.charCodeAt(first) | (text.charCodeAt(first + 1) << 8);
    levels[k] = k & 1 ? pair >> 4 : pair & MISSING;
  }
  return levels;
}

function decimal(value, decimals) {
  const text = value.toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "\u2212");
}

// The largest of 1, 2, 5 times a power of ten that is at most `most`.
function roundBelow(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return power * [5, 2, 1].find((factor) => factor * power <= most * 1.0001);
}

// An element with attributes and children.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
