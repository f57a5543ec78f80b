"use strict";

// What is drawn, in the order of drawing: ground truth below, detections above. Each differs in colour and line.
const KINDS = [
  ["ignored", "ignored ground truth", "riders, groups, too small or too hidden for the Reasonable subset: neither found nor missed"],
  ["found", "pedestrian, found", "ground truth with a correct detection"],
  ["missed", "pedestrian, missed", "ground truth without a correct detection at this score"],
  ["neither", "detection, not counted", "on an ignored ground truth, or too small for the subset"],
  ["correct", "correct detection", "true positive"],
  ["false", "false positive", "a detection on nothing, or the second one on a pedestrian"],
];
const SCORE_STEPS = 200;

function gallery(root, data) {
  const find = (name) => root.querySelector(`[data-control="${name}"]`);
  const [variant, step, iou, rate, score, only, cards] =
    ["variant", "step", "iou", "rate", "score", "only", "cards"].map(find);
  const output = find("score-value");
  const totals = find("totals");
  const kinds = find("kinds");
  const dialog = find("dialog");
  const chosen = (choices) => choices.querySelector("input:checked").value;
  let operating = "0.316";
  let opened = null;

  function choice(parent, name, value, text, checked) {
    const label = html(parent, "label");
    const input = html(label, "input", { type: "radio", name, value });
    input.checked = checked;
    html(label, "span", {}, text);
  }

  function swatch(parent, kind) {
    const picture = svg(parent, "svg", { viewBox: "0 0 34 20", "aria-hidden": "true" });
    rectangle(picture, kind, 4.5, 3.5, 25, 13);
  }

  function rectangle(parent, kind, x, y, width, height, title) {
    const group = svg(parent, "g", { class: kind });
    for (const part of ["halo", "line"]) svg(group, "rect", { class: `box ${part}`, x, y, width, height });
    if (title) svg(group, "title", {}, title);
  }

  for (const v of data.variants) html(variant, "option", { value: v.name }, v.name);
  const reference = data.variants.find((v) => v.name === data.reference) ?? data.variants[0];
  variant.value = reference.name;
  for (const value of data.ious) choice(iou, "gallery-iou", value, value, value === data.ious[0]);
  for (const value of ["0.1", "0.316", "1"]) choice(rate, "gallery-rate", value, value, value === operating);
  choice(rate, "gallery-rate", "", "own score", false);
  for (const [kind, name, meaning] of KINDS) {
    const label = html(kinds, "label", { title: meaning });
    html(label, "input", { type: "checkbox", value: kind }).checked = kind !== "neither";
    swatch(label, kind);
    label.append(name);
  }

  function fillSteps() {
    const before = step.querySelector("input:checked")?.value;
    const steps = data.variants.find((v) => v.name === variant.value).steps;
    step.replaceChildren();
    const wanted = steps.map(String).includes(before) ? before : String(steps.at(-1));
    for (const s of steps) choice(step, "gallery-step", String(s), String(s), String(s) === wanted);
  }

  const current = () => data.outcomes[variant.value][chosen(step)];
  const working = () => current().operating[chosen(iou)];

  /** The lowest score at which all validation images together have no more than this many false positives per image. */
  function scoreAt(falsePositives) {
    const counts = working().fppi;
    const index = counts.findIndex((value) => value <= falsePositives);
    return index < 0 ? SCORE_STEPS : index;
  }

  /** What is drawn on an image: {kind: [[x, y, width, height, text], ...]}. */
  function boxesOf(index) {
    const image = data.images[index];
    const outcome = current().images[index];
    const place = data.ious.indexOf(chosen(iou));
    const threshold = Number(score.value) / SCORE_STEPS - 1e-9;
    const boxes = Object.fromEntries(KINDS.map(([kind]) => [kind, []]));
    image.truths.forEach(([x, y, w, h, ignored], i) => {
      const found = outcome.truths[place][i];
      const kind = ignored ? "ignored" : found !== null && found >= threshold ? "found" : "missed";
      boxes[kind].push([x, y, w, h, ""]);
    });
    for (const [x, y, w, h, s, ...states] of outcome.detections) {
      if (s < threshold) continue;
      boxes[["false", "correct", "neither"][states[place]]].push([x, y, w, h, s.toFixed(2)]);
    }
    return boxes;
  }

  const wanted = () => new Set([...kinds.querySelectorAll("input:checked")].map((input) => input.value));

  function overlay(layer, boxes, withScores) {
    layer.replaceChildren();
    const shown = wanted();
    for (const [kind, name] of KINDS) {
      if (!shown.has(kind)) continue;
      for (const [x, y, w, h, text] of boxes[kind]) rectangle(layer, kind, x, y, w, h, text ? `${name}, score ${text}` : name);
    }
    if (!withScores) return;
    const size = data.width / 80; // in pixels of the image
    for (const kind of ["correct", "false"]) {
      if (!shown.has(kind)) continue;
      for (const [x, y, , , text] of boxes[kind]) svg(layer, "text", { class: "score", x: x + 1, y: Math.max(size, y - size / 3), "font-size": size }, text);
    }
  }

  const counted = (boxes) =>
    `${boxes.found.length} found, ${boxes.missed.length} missed, ` +
    `${boxes.false.length} false positive${boxes.false.length === 1 ? "" : "s"}`;

  function picture(parent, tag, image, attributes) {
    const frame = html(parent, tag, { class: "picture", ...attributes });
    html(frame, "img", { src: image.jpeg, alt: "", width: data.width, height: data.height });
    return { frame, layer: svg(frame, "svg", { viewBox: `0 0 ${data.width} ${data.height}`, "aria-hidden": "true" }) };
  }

  const shownCards = data.images.map((image, index) => {
    const card = html(cards, "figure", { class: "card" });
    const { frame, layer } = picture(card, "button", image, { type: "button" });
    const caption = html(card, "figcaption");
    frame.addEventListener("click", () => open(index));
    return { card, frame, layer, caption };
  });

  const large = picture(find("dialog-view"), "div", { jpeg: "data:," }, {});
  function open(index) {
    opened = index;
    large.frame.querySelector("img").src = data.images[index].jpeg;
    update();
    if (!dialog.open) dialog.showModal();
  }
  function turn(by) {
    const visible = shownCards.map((c, i) => (c.card.hidden ? -1 : i)).filter((i) => i >= 0);
    if (!visible.length) return;
    const at = visible.indexOf(opened);
    open(visible[(at + by + visible.length) % visible.length]);
  }
  find("previous").addEventListener("click", () => turn(-1));
  find("next").addEventListener("click", () => turn(1));
  find("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { opened = null; });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") turn(-1);
    if (event.key === "ArrowRight") turn(1);
  });

  function update() {
    if (operating) score.value = String(scoreAt(Number(operating)));
    const place = Number(score.value);
    output.textContent = (place / SCORE_STEPS).toFixed(3);
    const { fppi, missed } = working();
    totals.textContent =
      `All ${data.total} validation images at this score: ${fppi[place].toFixed(2)} false positives per image, ` +
      (missed[place] === null ? "no pedestrian in the subset." : `${(100 * missed[place]).toFixed(1)} % of the pedestrians missed.`);
    let visible = 0;
    data.images.forEach((image, index) => {
      const boxes = boxesOf(index);
      const { card, frame, layer, caption } = shownCards[index];
      card.hidden = only.value !== "" && !boxes[only.value].length;
      if (!card.hidden) visible++;
      overlay(layer, boxes, false);
      caption.replaceChildren();
      html(caption, "b", {}, counted(boxes));
      caption.append(` · ${image.name}`);
      frame.setAttribute("aria-label", `${image.name}: ${counted(boxes)}. Enlarge.`);
      if (index === opened) {
        overlay(large.layer, boxes, true);
        find("dialog-title").textContent = `${image.name} · ${variant.value}, test step ${chosen(step)} · ${counted(boxes)}`;
      }
    });
    find("none").hidden = visible > 0;
  }

  variant.addEventListener("change", () => { fillSteps(); update(); });
  for (const control of [step, iou, only, kinds]) control.addEventListener("change", update);
  rate.addEventListener("change", () => { operating = chosen(rate); update(); });
  score.addEventListener("input", () => {
    operating = "";
    rate.querySelector('input[value=""]').checked = true;
    update();
  });
  fillSteps();
  update();
}
