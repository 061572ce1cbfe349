// Pictures in one place, one at a time, by hand or in turns.

// Milliseconds that each of two pictures is seen: well below three changes a second, which can harm.
const TURN = 700;

class Flicker {
  constructor(scene, views, section) {
    this.scene = scene;
    this.views = views;
    this.section = section;
    this.shown = 0;
    this.timer = 0;
    const names = [["Side by side", -1], ...views.map(({ name }, k) => [name, k])];
    this.tabs = choice("View", names, (...chosen) => this.show(...chosen));
    const options = () => views.map(({ name }, k) => element("option", { value: k }, name));
    const select = (name) => element("select", { "aria-label": name }, ...options());
    this.pair = [select("First picture"), select("Second picture")];
    // What was made is compared first, the truth only where it is asked for.
    const first = views[0].name === "Truth" && views.length > 2 ? 1 : 0;
    this.pair.forEach((select, k) => (select.value = first + k));
    this.turns = button("Flicker", () => (this.timer ? this.stop() : this.start()));
    this.turns.setAttribute("aria-pressed", "false");
    this.box = group("Compare", this.tabs.box, this.turns, this.pair[0], "and", this.pair[1]);
    this.tabs.select(-1);
  }

  // Shows one picture alone; -1 shows all side by side.
  show(k, isByHand = false) {
    if (isByHand) {
      this.stop();
    }
    this.shown = k;
    this.section.classList.toggle("alone", k >= 0);
    this.views.forEach(({ figure }, other) => (figure.hidden = k >= 0 && other !== k));
    this.scene.redraw();
  }

  start() {
    const turn = () => {
      const [first, second] = this.pair.map((select) => Number(select.value));
      this.tabs.select(this.shown === first ? second : first);
    };
    this.timer = setInterval(turn, TURN);
    this.turns.setAttribute("aria-pressed", "true");
    turn();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.turns.setAttribute("aria-pressed", "false");
  }
}
