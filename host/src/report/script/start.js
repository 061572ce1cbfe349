// Puts views and controls into the page.

function start(section) {
  const scene = new Scene();
  const shared = new Map();
  const own = (figure) => new Grey(Number(figure.dataset.black), Number(figure.dataset.white));
  for (const figure of section.querySelectorAll("figure.view")) {
    const { kind, unit } = figure.dataset;
    const isImage = kind === "image";
    if (isImage && !shared.has(unit)) {
      shared.set(unit, { grey: own(figure), views: [] });
    }
    const view = new View(figure, scene, isImage ? shared.get(unit).grey : own(figure));
    scene.views.push(view);
    if (isImage) {
      shared.get(unit).views.push(view);
    } else {
      contrastControl(scene, view);
    }
  }
  const bar = element("div", { class: "toolbar", role: "region", "aria-label": "Controls of the pictures" });
  const position = element("output", { class: "position", "aria-live": "off" });
  const spoken = element("p", { class: "spoken", role: "status" });
  for (const { grey, views } of shared.values()) {
    bar.append(windowControls(scene, grey, views));
  }
  bar.append(...handControls(scene));
  const images = [...shared.values()].flatMap(({ views }) => views);
  const [first] = images;
  const pictures = section.querySelector(".pictures");
  if (images.length > 1) {
    bar.append(new Flicker(scene, images, pictures).box);
  }
  bar.append(position, spoken);
  pictures.before(bar);
  const announce = (view) => {
    const { frame: { cursor }, pixels, name } = view;
    spoken.textContent = cursor ? `${name}, ${where(view)}: ${pixels.text(pixels.at(cursor))}` : "";
  };
  scene.views.forEach((view) => listen(view, scene, announce));
  if (first) {
    const like = images.filter(({ frame, pixels }) => frame === first.frame && pixels.unit === first.pixels.unit);
    const profile = new Profile(like);
    pictures.after(profile.figure);
    scene.follow(() => profile.draw());
  }
  scene.follow(() => {
    const at = scene.views.find(({ frame }) => frame.cursor);
    position.textContent = at ? where(at) : "Point at a picture: its value, and those of the others at the same place";
  });
  scene.draw();
  section.dataset.drawn = "yes";
}

// The place of the cursor in words.
function where({ frame: { cursor }, pixels }) {
  const { rows, columns, pixelMm, block } = pixels;
  const [column, row] = pixels.pixelAt(cursor).map((at) => at * block);
  const [right, down] = [cursor.u * columns, cursor.v * rows].map((at) => `${(at * pixelMm).toFixed(1)} mm`);
  return `row ${row}, column ${column}${pixelMm ? ` (${right} from the left, ${down} from the top)` : ""}`;
}

document.querySelectorAll("section.seen").forEach(start);
