// What the views of a page share: frames with their zoom, cursor and line, and the time to draw.

class Scene {
  constructor() {
    this.frames = new Map();
    this.views = [];
    this.followers = [];
    this.isPending = false;
    // What a drag does: cursor, window, move or profile.
    this.mode = "cursor";
  }

  // The frame of this name: a part of the picture in sight, its upper left corner at (left, top), `1 / zoom` wide.
  frame(name) {
    if (!this.frames.has(name)) {
      this.frames.set(name, { zoom: 1, left: 0, top: 0, cursor: null, line: null });
    }
    return this.frames.get(name);
  }

  // Calls `follower` after every drawing.
  follow(follower) {
    this.followers.push(follower);
  }

  // Draws all views before the screen is shown next.
  redraw() {
    if (!this.isPending) {
      this.isPending = true;
      requestAnimationFrame(() => this.draw());
    }
  }

  draw() {
    this.isPending = false;
    this.views.forEach((view) => view.draw());
    this.followers.forEach((follower) => follower());
  }

  // Zooms by a factor and keeps the place `around` where it is on the screen.
  zoom(frame, factor, around = { u: frame.left + 0.5 / frame.zoom, v: frame.top + 0.5 / frame.zoom }) {
    const zoom = Math.min(32, Math.max(1, frame.zoom * factor));
    const shrink = frame.zoom / zoom;
    const corner = [around.u - (around.u - frame.left) * shrink, around.v - (around.v - frame.top) * shrink];
    frame.zoom = zoom;
    this.moveTo(frame, ...corner);
  }

  // Moves the part in sight, within the picture.
  moveTo(frame, left, top) {
    const most = 1 - 1 / frame.zoom;
    frame.left = Math.min(most, Math.max(0, left));
    frame.top = Math.min(most, Math.max(0, top));
    this.redraw();
  }
}
