"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const A_PAGE = 48;
const two = data.sets.length > 1;
const RIGHT = 1, NEITHER = 2;

const [IMAGE, GROUP, KIND, X, Y, WIDTH, HEIGHT, SCORE, TALL, VISIBLE] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const count = Object.fromEntries(data.groups.map(([key]) => [key, data.cases.filter((c) => c[GROUP] === key).length]));

/** Draw an image's part [x, y, width, height] with all boxes; `chosen` is the box of the case. */
function draw(parent, image, part, chosen, size) {
  const layer = svg(parent, "svg", { viewBox: part.join(" "), preserveAspectRatio: "xMidYMid meet", "aria-hidden": "true" });
  if (image.src) svg(layer, "image", { href: image.src, width: image.width, height: image.height });
  else svg(layer, "rect", { width: image.width, height: image.height, fill: "#3b434b" });
  const near = ([x, y, w, h]) => x < part[0] + part[2] && y < part[1] + part[3] && x + w > part[0] && y + h > part[1];
  const here = (box) => ([0, 1, 2, 3].every((i) => Math.abs(box[i] - chosen[i]) < 1e-6) ? " here" : "");
  image.truths.forEach((t, i) => {
    if (!near(t)) return;
    const found = two ? image.sets.every((set) => set.found[i] !== null) : image.sets.some((set) => set.found[i] !== null);
    const kind = t[4] ? "ignored" : found ? "found" : "missed";
    const visible = t[6] === null ? "" : `, ${Math.round(100 * t[6])} % visible`;
    rectangle(layer, kind + here(t), t, `${t[4] ? "ignored annotation" : "pedestrian"}, ${t[5]} px tall${visible}`);
  });
  const labels = [];
  image.sets.forEach((set, number) => {
    for (const d of set.detections) {
      if (!near(d)) continue;
      const [x, y, , , score, state, why] = d;
      const kind = state === NEITHER ? "neither" : two ? ["correct", "second"][number] : state === RIGHT ? "correct" : "false";
      const what = state === RIGHT ? "correct" : state === NEITHER ? "not counted" : `false positive: ${data.names[why] ?? ""}`;
      rectangle(layer, kind + here(d), d, `${two ? `${"AB"[number]}: ` : ""}${what}, score ${score}`);
      if (state !== NEITHER) labels.push({ x, y, score, text: (two ? "AB"[number] + " " : "") + score.toFixed(2) });
    }
  });
  scoreLabels(layer, labels, part, size);
  return layer;
}

/** The part of an image around a box, 4 : 5. */
function around(image, box, factor) {
  let height = Math.max(box[3], box[2] * 1.25, 24) * factor;
  height = Math.min(height, Math.max(image.height, image.width * 1.25));
  const width = height * 0.8;
  const clamp = (value, size, whole) => (size >= whole ? (whole - size) / 2 : Math.max(0, Math.min(value, whole - size)));
  return [
    clamp(box[0] + box[2] / 2 - width / 2, width, image.width), clamp(box[1] + box[3] / 2 - height / 2, height, image.height), width, height,
  ];
}

function caption(c) {
  const parts = [];
  if (c[SCORE] !== null) parts.push(`score ${c[SCORE]}`);
  parts.push(`${Math.round(c[TALL])} px`);
  if (c[VISIBLE] !== null) parts.push(`${Math.round(100 * c[VISIBLE])} % visible`);
  return parts.join(", ");
}

byId("title").textContent = data.title;
for (const [name, value] of data.facts) {
  const item = html(byId("facts"), "div");
  html(item, "dt", {}, name);
  html(item, "dd", {}, value);
}

const columns = two ? ["the other's error", "A alone", "B alone", "meaning"] : ["kind", "false positives", "misses", "left if mended", "meaning"];
const table = html(byId("kinds"), "table");
const head = html(html(table, "thead"), "tr");
columns.forEach((name, i) => html(head, "th", { scope: "col", class: name === "meaning" ? "meaning" : i ? "number" : "" }, name));
const body = html(table, "tbody");
const rows = data.kinds.map(([, name, wrong, missed, a, b, left], place) => {
  const row = html(body, "tr");
  html(row, "th", { scope: "row" }, name);
  const show = (value, there) => html(row, "td", { class: "number" }, there ? String(value) : "–");
  show(a, two || wrong);
  show(b, two || missed);
  if (!two) show(left === null ? "" : left.toFixed(2) + " %", left !== null);
  const meaning = [wrong && `box: ${wrong}`, missed && (two ? missed : `miss: ${missed}`)].filter(Boolean).join("; ");
  html(row, "td", { class: "meaning" }, meaning);
  row.addEventListener("click", () => { kind.value = kind.value === String(place) ? "" : String(place); page = 0; update(); });
  return row;
});

for (const [i, [key, name]] of data.groups.entries()) {
  const label = html(byId("groups"), "label");
  const input = html(label, "input", { type: "radio", name: "group", value: key });
  input.checked = i === (count[data.groups[0][0]] || !count[data.groups[1][0]] ? 0 : 1);
  html(label, "span", {}, `${name}: ${count[key]}`);
}
const kind = byId("kind");
fillSelect(kind, [["", "all"], ...data.kinds.map(([, name], place) => [String(place), name])], "");
const order = byId("order");
fillSelect(order, [["", two ? "tallest first" : "surest or tallest first"], ["image", "by image"], ["small", "smallest first"], ["hidden", "least visible first"]], "");
const KEY = [
  ["found", "pedestrian"], ...(two ? [["missed", "missed by one"], ["correct", "A"], ["second", "B"]] : [["missed", "missed"], ["correct", "correct"], ["false", "false positive"]]),
  ["ignored", "ignored annotation"], ["neither", "not counted"],
];
for (const [name, meaning] of KEY) {
  const item = html(byId("key"), "li");
  rectangle(svg(item, "svg", { viewBox: "0 0 34 18", "aria-hidden": "true" }), name, [4.5, 3.5, 25, 11]);
  item.append(meaning);
}

let page = 0;
let shown = [];
let opened = -1;

function update() {
  const group = document.querySelector('input[name="group"]:checked').value;
  shown = data.cases.filter((c) => c[GROUP] === group && (kind.value === "" || c[KIND] === Number(kind.value)));
  const by = { image: (a, b) => a[IMAGE] - b[IMAGE], small: (a, b) => a[TALL] - b[TALL], hidden: (a, b) => (a[VISIBLE] ?? 2) - (b[VISIBLE] ?? 2) }[order.value];
  if (by) shown = [...shown].sort(by);
  rows.forEach((row, place) => row.classList.toggle("chosen", kind.value === String(place)));
  const pages = Math.max(1, Math.ceil(shown.length / A_PAGE));
  page = Math.min(page, pages - 1);
  byId("count").textContent = shown.length
    ? `${shown.length} cases; click one for the whole image, the arrow keys turn.` + (data.pictures ? "" : " The images are not at hand (--images FOLDER).")
    : "None of this kind.";
  const cards = byId("cards");
  cards.replaceChildren();
  shown.slice(page * A_PAGE, (page + 1) * A_PAGE).forEach((c, i) => {
    const image = data.images[c[IMAGE]];
    const card = html(cards, "figure", { class: "card" });
    const button = html(card, "button", { type: "button", "aria-label": `${data.kinds[c[KIND]][1]}, ${image.name}. Whole image.` });
    const box = c.slice(X, X + 4);
    const part = around(image, box, Number(byId("around").value));
    draw(button, image, part, box, part[3] / 22);
    button.addEventListener("click", () => open(page * A_PAGE + i));
    const text = html(card, "figcaption");
    html(text, "b", {}, data.kinds[c[KIND]][1]);
    text.append(`${caption(c)} · ${image.name.replace(/^.*\//, "").replace(/(_leftImg8bit)?\.\w+$/, "")}`);
  });
  const nav = byId("pages");
  nav.replaceChildren();
  if (pages > 1) {
    const back = html(nav, "button", { type: "button" }, "← back");
    html(nav, "span", {}, `page ${page + 1} of ${pages}`);
    const on = html(nav, "button", { type: "button" }, "on →");
    back.disabled = page === 0;
    on.disabled = page === pages - 1;
    for (const [button, by] of [[back, -1], [on, 1]]) {
      button.addEventListener("click", () => { page += by; update(); byId("count").scrollIntoView(); });
    }
  }
}

function open(index) {
  opened = (index + shown.length) % shown.length;
  const c = shown[opened];
  const image = data.images[c[IMAGE]];
  byId("view").replaceChildren();
  draw(byId("view"), image, [0, 0, image.width, image.height], c.slice(X, X + 4), image.height / 50);
  byId("dialog-title").textContent = `${image.name} · ${data.kinds[c[KIND]][1]} · ${caption(c)}`;
  if (!byId("dialog").open) byId("dialog").showModal();
}
turningDialog(byId("dialog"), { previous: byId("previous"), next: byId("next"), close: byId("close") }, (by) => open(opened + by));
for (const control of [byId("groups"), kind, order, byId("around")]) control.addEventListener("change", () => { page = 0; update(); });
update();
showScrolling(byId("kinds"));
document.documentElement.dataset.ready = "true";
