// The window of grey values that pictures share: `lo` is black, `hi` is white.

// Windows of radiology, as (level, width) in HU.
const PRESETS = [["Lung", -600, 1500], ["Soft tissue", 40, 400], ["Bone", 400, 1800]];

class Grey {
  constructor(lo, hi) {
    this.first = { lo, hi };
    this.set(lo, hi);
  }

  get level() {
    return 0.5 * (this.lo + this.hi);
  }

  get width() {
    return this.hi - this.lo;
  }

  set(lo, hi) {
    this.lo = lo;
    this.hi = hi;
  }

  setLevel(level, width) {
    this.set(level - 0.5 * width, level + 0.5 * width);
  }

  reset() {
    this.set(this.first.lo, this.first.hi);
  }

  // The brightness, 0 to 255, of each of the levels that the pixels of a picture take; a missing value is black.
  table({ slope, intercept }) {
    const table = new Uint8ClampedArray(MISSING + 1);
    const scale = 255 / Math.max(this.width, Number.MIN_VALUE);
    for (let level = 0; level < MISSING; level += 1) {
      table[level] = (intercept + slope * level - this.lo) * scale;
    }
    return table;
  }
}
