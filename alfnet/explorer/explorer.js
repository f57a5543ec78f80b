"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const A_PAGE = 48;
const two = data.sets.length > 1;
const RIGHT = 1, NEITHER = 2;

function html(parent, tag, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

function svg(parent, tag, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

const [IMAGE, GROUP, KIND, X, Y, WIDTH, HEIGHT, SCORE, TALL, VISIBLE] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const count = Object.fromEntries(data.groups.map(([key]) => [key, data.cases.filter((c) => c[GROUP] === key).length]));

function rectangle(parent, kind, [x, y, width, height], title, here) {
  const group = svg(parent, "g", { class: kind + (here ? " here" : "") });
  for (const part of ["halo", "line"]) svg(group, "rect", { class: `box ${part}`, x, y, width, height });
  if (title) svg(group, "title", {}, title);
}

/** Draw an image's part [x, y, width, height] with all boxes; `chosen` is the box of the case. */
function draw(parent, image, part, chosen, size) {
  const layer = svg(parent, "svg", { viewBox: part.join(" "), preserveAspectRatio: "xMidYMid meet", "aria-hidden": "true" });
  if (image.src) svg(layer, "image", { href: image.src, width: image.width, height: image.height });
  else svg(layer, "rect", { width: image.width, height: image.height, fill: "#3b434b" });
  const near = ([x, y, w, h]) => x < part[0] + part[2] && y < part[1] + part[3] && x + w > part[0] && y + h > part[1];
  const same = (box) => [0, 1, 2, 3].every((i) => Math.abs(box[i] - chosen[i]) < 1e-6);
  image.truths.forEach((t, i) => {
    if (!near(t)) return;
    const found = image.sets.some((set) => set.found[i] !== null);
    const kind = t[4] ? "ignored" : found && !two ? "truth" : image.sets.every((set) => set.found[i] !== null) ? "truth" : "missed";
    const visible = t[6] === null ? "" : `, ${Math.round(100 * t[6])} % visible`;
    rectangle(layer, kind, t, `${t[4] ? "ignored annotation" : "pedestrian"}, ${t[5]} px tall${visible}`, same(t));
  });
  image.sets.forEach((set, number) => {
    for (const d of set.detections) {
      if (!near(d)) continue;
      const kind = two ? (d[5] === NEITHER ? "neither" : number ? "second" : "right") : d[5] === RIGHT ? "right" : d[5] === NEITHER ? "neither" : "wrong";
      const what = d[5] === RIGHT ? "correct" : d[5] === NEITHER ? "not counted" : `false positive: ${named(d[6])}`;
      rectangle(layer, kind, d, `${two ? `${"AB"[number]}: ` : ""}${what}, score ${d[4]}`, same(d));
      if (d[5] !== NEITHER) {
        svg(layer, "text", { class: "score", x: d[0], y: d[1] - size * 0.25, "font-size": size }, (two ? "AB"[number] + " " : "") + d[4].toFixed(2));
      }
    }
  });
  return layer;
}
const names = ["background", "badly placed", "too small or too large", "double", "crowd or occlusion", "on an ignored class", "score too low"];
const named = (place) => names[place] ?? "";

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
html(kind, "option", { value: "" }, "all");
data.kinds.forEach(([, name], place) => html(kind, "option", { value: String(place) }, name));
const order = byId("order");
for (const [value, name] of [["", two ? "tallest first" : "surest or tallest first"], ["image", "by image"], ["small", "smallest first"], ["hidden", "least visible first"]]) {
  html(order, "option", { value }, name);
}
const KEY = two
  ? [["truth", "pedestrian"], ["missed", "missed by one"], ["right", "A"], ["second", "B"], ["ignored", "ignored annotation"], ["neither", "not counted"]]
  : [["truth", "pedestrian"], ["missed", "missed"], ["right", "correct"], ["wrong", "false positive"], ["ignored", "ignored annotation"], ["neither", "not counted"]];
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
byId("previous").addEventListener("click", () => open(opened - 1));
byId("next").addEventListener("click", () => open(opened + 1));
byId("close").addEventListener("click", () => byId("dialog").close());
byId("dialog").addEventListener("click", (event) => event.target === byId("dialog") && byId("dialog").close());
byId("dialog").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") open(opened - 1);
  if (event.key === "ArrowRight") open(opened + 1);
});
for (const control of [byId("groups"), kind, order, byId("around")]) control.addEventListener("change", () => { page = 0; update(); });
update();
document.documentElement.dataset.ready = "true";
