"use strict";

/** A box x, y, width, height in an SVG: a bright line on a dark one, so that it shows on any picture. */
function rectangle(parent, kind, [x, y, width, height], title = "") {
  const group = svg(parent, "g", { class: kind });
  for (const part of ["halo", "line"]) svg(group, "rect", { class: `box ${part}`, x, y, width, height });
  if (title) svg(group, "title", {}, title);
}

/**
 * Scores above their boxes [{x, y, score, text}] within the part [x, y, width, height] that is seen, `size` high.
 * Where two would overlap, the better stays and the other moves up, or is left out at the edge.
 */
function scoreLabels(layer, boxes, [left, top, width], size) {
  const placed = [];
  for (const box of [...boxes].sort((a, b) => b.score - a.score)) {
    const [w, h] = [0.63 * size * box.text.length, 1.15 * size];
    const x = Math.max(left, Math.min(box.x, left + width - w));
    let y = Math.max(top, box.y - h);
    const clash = () => placed.find((p) => x < p.x + p.w && p.x < x + w && y < p.y + h && p.y < y + h);
    for (let other = clash(); other && y >= top; other = clash()) y = other.y - h - 0.03 * size;
    if (y < top) continue;
    placed.push({ x, y, w });
    if (y + h < box.y - h) svg(layer, "line", { class: "leader", x1: x + 1, x2: Math.max(box.x, x + 1), y1: y + h, y2: box.y });
    svg(layer, "text", { class: "score", x: x + 0.06 * size, y: y + h - size * 0.25, "font-size": size }, box.text);
  }
}

/** A dialog with one image after another: its buttons, the arrow keys, and a click beside it, which closes. */
function turningDialog(dialog, { previous, next, close }, turn) {
  previous.addEventListener("click", () => turn(-1));
  next.addEventListener("click", () => turn(1));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") turn(-1);
    if (event.key === "ArrowRight") turn(1);
  });
}
