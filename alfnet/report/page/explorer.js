"use strict";

// What is drawn, in the order of drawing: ground truth below, detections above. Each differs in colour and line.
const DRAWN = [
  ["ignored", "ignored ground truth", "riders, groups, too small or too hidden for the Reasonable subset: neither found nor missed"],
  ["found", "pedestrian, found", "ground truth with a correct detection"],
  ["missed", "pedestrian, missed", "ground truth without a correct detection at this score"],
  ["neither", "detection, not counted", "on an ignored ground truth, or too small for the subset"],
  ["correct", "correct detection", "true positive"],
  ["false", "false positive", "a detection on nothing, or the second one on a pedestrian"],
];
const STATES = ["false", "correct", "neither"]; // of a detection, as the data count them
const RATES = ["0.1", "0.316", "1"];
const AT_ONCE = { images: 48, missed: 120, false: 120 };
const CROP_HEIGHT = 210; // pixels of the screen
// Where counts of pedestrians begin anew, as in alfnet/evaluation/comparison.py.
const HEIGHTS = [50, 75, 100, 150];
const VISIBLE_PARTS = [20, 65, 90];

/** The keys of the page's address that belong to the explorer, with what is chosen at first. */
function explorerState(index) {
  return {
    set: index.reference, seed: "", at: "last", with: "", "with-at": "last", iou: index.ious[0], rate: "0.316", score: "",
    show: "images", kind: "", size: "", visible: "", sort: "errors", image: "", drawn: "ignored,found,missed,correct,false",
  };
}

const valuesOf = (id) => [...byId(id).options].map((option) => option.value);

/** The values that these keys may have, where not any: seeds, steps and images fall back to the first by themselves. */
function explorerValues(index) {
  const kinds = [["missed", index.missKinds], ["false", index.falseKinds]];
  const names = index.sets.map((set) => set.name);
  return {
    set: names,
    with: ["", ...names, ...index.sets.map((set) => `${set.name}|${set.seed}`)],
    iou: index.ious, rate: RATES, score: (value) => /^\d{1,4}$/.test(value) && Number(value) <= 1000,
    kind: ["", "first", "second", ...kinds.flatMap(([drawn, own]) => [drawn, ...own.map(([kind]) => `${drawn}:${kind}`)])],
    ...Object.fromEntries(["show", "size", "visible", "sort"].map((key) => [key, valuesOf(`ex-${key}`)])),
  };
}

// Detections arrive as scripts, which a page that was opened from a disk may load.
const alfnetExplorer = {
  waiting: new Map(),
  loaded: new Map(),
  load(number) {
    if (!this.loaded.has(number)) {
      this.loaded.set(number, new Promise((resolve, reject) => {
        this.waiting.set(number, resolve);
        const script = html(document.head, "script", { src: `outcomes/${String(number + 1).padStart(4, "0")}.js` });
        script.addEventListener("error", () => reject(new Error(`${script.src} is missing: keep the page and its folders together`)));
      }));
    }
    return this.loaded.get(number);
  },
  receive(number, steps) {
    this.waiting.get(number)(steps);
  },
};

function explorer(index) {
  const control = (name) => byId(`ex-${name}`);
  const names = [...new Set(index.sets.map((set) => set.name))];
  const stride = 5 + 2 * index.ious.length;
  const fileOf = (i, kind) => `${kind}/${String(i + 1).padStart(4, "0")}.jpg`;
  const chosen = (name) => control(name).querySelector("input:checked")?.value;
  let sides = []; // one or two: {number, name, seed, step, outcome, threshold}
  let listed = []; // what is shown: indices of images, or crops
  let shownUpTo = 0;

  /* Which detections. */

  function numberOf(name, seed) {
    const own = index.sets.flatMap((set, i) => (set.name === name ? [i] : []));
    return own.find((i) => String(index.sets[i].seed) === seed) ?? own[0];
  }

  /** A set's test step: the number that was asked for where it has such a step, else its last. */
  function stepOf(set, wanted) {
    return set.steps.map(String).includes(wanted) ? wanted : String(set.steps.at(-1));
  }

  async function sideOf(name, seed, wanted) {
    const number = numberOf(name, seed);
    const set = index.sets[number];
    const steps = await alfnetExplorer.load(number);
    const step = stepOf(set, wanted);
    const title = [set.name, ...(set.steps.length > 1 ? [`step ${step}`] : []), ...(hasSeeds ? [`seed ${set.seed}`] : [])].join(", ");
    return { number, name: set.name, seed: set.seed, step, title, outcome: steps[step] };
  }
  const seedsOf = (name) => index.sets.filter((set) => set.name === name).map((set) => set.seed);
  const hasSeeds = names.some((name) => seedsOf(name).length > 1);
  const place = () => Math.max(0, index.ious.indexOf(state.get("iou")));

  /** The lowest score (in thousandths) at which all images together have at most so many false positives per image. */
  function scoreAt(outcome, falsePositives) {
    const wrong = outcome.wrong[place()];
    const allowed = Math.floor(falsePositives * outcome.images + 1e-9);
    return allowed < wrong.length ? wrong[wrong.length - 1 - allowed] + 1 : 0;
  }

  /* What is in an image. */

  /** The kind of a miss; "" for a pedestrian that is found. */
  function missOf(side, i, truth) {
    const [found, kind] = side.outcome.truths[place()][i].slice(2 * truth, 2 * truth + 2);
    if (found >= side.threshold) return "";
    return found >= 0 ? "low_score" : index.missKinds[kind]?.[0];
  }

  /** The boxes of an image: [{drawn, kind, x, y, w, h, score, visible}]; `kind` of errors only. */
  function boxesOf(side, i) {
    const at = place();
    const boxes = [];
    index.images[i].truths.forEach(([x, y, w, h, ignored, visible], n) => {
      const box = { x, y, w, h, visible, truth: n };
      const kind = missOf(side, i, n);
      if (ignored) boxes.push({ ...box, drawn: "ignored" });
      else if (kind === "") boxes.push({ ...box, drawn: "found" });
      else boxes.push({ ...box, drawn: "missed", kind });
    });
    const flat = side.outcome.detections[i];
    for (let n = flat.length - stride; n >= 0; n -= stride) { // the best on top
      const [x, y, w, h, score] = flat.slice(n, n + 5);
      if (score < side.threshold) continue;
      const [kind, why] = flat.slice(n + 5 + 2 * at, n + 7 + 2 * at);
      boxes.push({ x, y, w, h, score, drawn: STATES[kind], kind: index.falseKinds[why]?.[0] });
    }
    return boxes;
  }

  const within = (range, value) => {
    if (!range) return true;
    const [low, high] = range.split("-").map(Number);
    return value !== undefined && value >= low && value < high;
  };

  /** The kind of error that is chosen; a difference between two only where there are two. */
  const kindChosen = () => (sides.length < 2 && ["first", "second"].includes(state.get("kind")) ? "" : state.get("kind"));

  /** The errors of an image that the choice of kind, height and visible part leaves. */
  function errorsOf(i, own, other) {
    const wanted = kindChosen();
    const missedByOther = other && new Set(other.filter((box) => box.drawn === "missed").map((box) => box.truth));
    return own.filter((box) => {
      const isMiss = box.drawn === "missed";
      if (!isMiss && box.drawn !== "false") return false;
      if (!within(state.get("size"), box.h) || !within(state.get("visible"), box.visible)) return false;
      if (wanted === "first") return isMiss && missedByOther && !missedByOther.has(box.truth);
      if (wanted === "second" || !wanted) return true;
      const [drawn, kind] = wanted.split(":");
      return box.drawn === drawn && (!kind || box.kind === kind);
    });
  }

  /* Drawing. */

  const kindName = (box) => {
    const kinds = box.drawn === "missed" ? index.missKinds : index.falseKinds;
    return kinds.find(([kind]) => kind === box.kind)?.[1] ?? "";
  };
  function describe(box) {
    const name = DRAWN.find(([drawn]) => drawn === box.drawn)[1];
    return [
      name + (kindName(box) ? ` (${kindName(box)})` : ""), `${box.h} px tall`,
      ...(box.visible === undefined ? [] : [`${box.visible} % visible`]), ...(box.score === undefined ? [] : [`score ${(box.score / 1000).toFixed(2)}`]),
    ].join(", ");
  }

  function overlay(layer, boxes, image, labelled) {
    layer.replaceChildren();
    const shown = new Set(state.get("drawn").split(","));
    for (const [drawn] of DRAWN) {
      if (shown.has(drawn)) for (const box of boxes) if (box.drawn === drawn) rectangle(layer, drawn, [box.x, box.y, box.w, box.h], describe(box));
    }
    if (!labelled) return;
    const scored = boxes.filter((box) => box.score !== undefined && box.drawn !== "neither" && shown.has(box.drawn));
    const texts = scored.map((box) => ({ ...box, text: (box.score / 1000).toFixed(2) }));
    scoreLabels(layer, texts, [0, 0, image.width, image.height], image.width / 80);
  }

  function picture(parent, tag, i, kind) {
    const image = index.images[i];
    const frame = html(parent, tag, { class: "picture", ...(tag === "button" ? { type: "button" } : {}) });
    frame.style.aspectRatio = `${image.width} / ${image.height}`;
    if (image.has) html(frame, "img", { src: fileOf(i, kind), alt: "", loading: "lazy", decoding: "async", width: image.width, height: image.height });
    return { frame, layer: svg(frame, "svg", { viewBox: `0 0 ${image.width} ${image.height}`, "aria-hidden": "true" }) };
  }

  const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
  function counted(boxes) {
    const number = (drawn) => boxes.filter((box) => box.drawn === drawn).length;
    return `${number("found")} found, ${number("missed")} missed, ${count(number("false"), "false positive", "false positives")}`;
  }

  function card(i) {
    const node = html(control("cards"), "figure", { class: "card" });
    const caption = html(node, "figcaption");
    for (const side of sides) {
      const boxes = boxesOf(side, i);
      const { frame, layer } = picture(node, "button", i, "thumbnails");
      overlay(layer, boxes, index.images[i], false);
      if (sides.length > 1) html(frame, "span", { class: "side" }, side.title);
      frame.setAttribute("aria-label", `${index.images[i].name}, ${side.title}: ${counted(boxes)}. Enlarge.`);
      frame.addEventListener("click", () => open(i));
      const line = html(caption, "div");
      if (sides.length > 1) line.append(`${side.title}: `);
      html(line, "b", {}, counted(boxes));
    }
    html(caption, "div", {}, index.images[i].name);
    node.append(caption);
  }

  function crop({ i, box }) {
    const image = index.images[i];
    const height = Math.min(image.height, Math.max(60, 1.5 * box.h));
    const width = Math.min(image.width, Math.max(0.8 * height, 1.3 * box.w));
    const left = Math.max(0, Math.min(image.width - width, box.x + box.w / 2 - width / 2));
    const top = Math.max(0, Math.min(image.height - height, box.y + box.h / 2 - height / 2));
    const scale = CROP_HEIGHT / height;
    const node = html(control("cards"), "figure", { class: "card crop" });
    const frame = html(node, "button", { class: "picture", type: "button", style: `height:${CROP_HEIGHT}px;width:${Math.round(width * scale)}px` });
    if (image.has) {
      html(frame, "img", {
        src: fileOf(i, "images"), alt: "", loading: "lazy", decoding: "async",
        style: `width:${image.width * scale}px;height:${image.height * scale}px;transform:translate(${-left * scale}px,${-top * scale}px)`,
      });
    }
    const layer = svg(frame, "svg", { viewBox: `${left} ${top} ${width} ${height}`, "aria-hidden": "true" });
    overlay(layer, boxesOf(sides[0], i), image, false);
    frame.setAttribute("aria-label", `${describe(box)}, in ${image.name}. Show the image.`);
    frame.addEventListener("click", () => open(i));
    const caption = html(node, "figcaption", { style: `width:${Math.max(130, Math.round(width * scale))}px` });
    html(caption, "b", {}, kindName(box));
    const measures = [`${box.h} px`, ...(box.visible === undefined ? [] : [`${box.visible} % visible`]), ...(box.score === undefined ? [] : [`score ${(box.score / 1000).toFixed(2)}`])];
    html(caption, "div", {}, measures.join(", "));
  }

  /* The enlarged image. */

  const dialog = control("dialog");
  let opened = -1;
  function open(i) {
    opened = i;
    state.set({ image: index.images[i].name });
    enlarge();
    if (!dialog.open) dialog.showModal();
  }
  function enlarge() {
    const view = control("dialog-view");
    view.replaceChildren();
    const described = sides.map((side) => {
      const boxes = boxesOf(side, opened);
      const { frame, layer } = picture(view, "div", opened, "images");
      overlay(layer, boxes, index.images[opened], true);
      if (sides.length > 1) html(frame, "span", { class: "side" }, side.title);
      return `${side.title}: ${counted(boxes)}`;
    });
    control("dialog-title").textContent = `${index.images[opened].name} · ${described.join(" · ")}`;
  }
  function turn(by) {
    const order = [...new Set(listed.map((entry) => entry.i))];
    if (order.length) open(order[(order.indexOf(opened) + by + order.length) % order.length]);
  }
  turningDialog(dialog, { previous: control("previous"), next: control("next"), close: control("close") }, turn);
  dialog.addEventListener("close", () => { opened = -1; state.set({ image: "" }); });

  /* The list. */

  function list() {
    const show = state.get("show");
    const filters = kindChosen() || state.get("size") || state.get("visible");
    const [first, second] = sides;
    const covered = index.images.flatMap((_, i) => (sides.every((side) => side.outcome.covered[i]) ? [i] : []));
    const entries = covered.map((i) => {
      const own = boxesOf(first, i);
      const other = second && boxesOf(second, i);
      const swap = kindChosen() === "second" && other; // missed by the second, found by the first
      const errors = swap
        ? other.filter((box) => box.drawn === "missed" && within(state.get("size"), box.h) && within(state.get("visible"), box.visible) &&
            own.some((mine) => mine.truth === box.truth && mine.drawn === "found"))
        : errorsOf(i, own, other);
      return { i, errors };
    });
    if (show !== "images") {
      const crops = entries.flatMap(({ i, errors }) => errors.filter((box) => box.drawn === show).map((box) => ({ i, box })));
      return crops.sort((a, b) => (show === "false" ? b.box.score - a.box.score : b.box.h - a.box.h) || a.i - b.i);
    }
    const sort = state.get("sort");
    const weight = ({ errors }) => (sort === "errors" ? errors.length : errors.filter((box) => box.drawn === sort).length);
    const kept = filters ? entries.filter(({ errors }) => errors.length) : entries;
    return sort === "order" ? kept : kept.sort((a, b) => weight(b) - weight(a) || a.i - b.i);
  }

  function more() {
    const show = state.get("show");
    const end = Math.min(listed.length, shownUpTo + AT_ONCE[show]);
    for (const entry of listed.slice(shownUpTo, end)) show === "images" ? card(entry.i) : crop(entry);
    shownUpTo = end;
    control("more").hidden = end >= listed.length;
    control("more").textContent = `show more (${listed.length - end} left)`;
  }

  function totals() {
    return sides.map((side) => {
      const { wrong, found, pedestrians, images } = side.outcome;
      const at = place();
      const rate = (wrong[at].length - countBelow(wrong[at], side.threshold)) / images;
      const missed = pedestrians ? 1 - (found[at].length - countBelow(found[at], side.threshold)) / pedestrians : null;
      return (
        `${side.title}, all ${images} images, score from ${(side.threshold / 1000).toFixed(3)}: ${rate.toFixed(2)} false positives per image, ` +
        (missed === null ? "no pedestrian in the subset." : `${(100 * missed).toFixed(1)} % of ${count(pedestrians, "pedestrian", "pedestrians")} missed.`)
      );
    });
  }

  /* Two sets side by side. */

  const pedestrians = index.images.map(({ truths }) => truths.filter((truth) => !truth[4]).length);
  const known = new Map(); // what differences are worth, computed once for each two sets and IoU

  function worthOf(first, second, images) {
    const key = [first.number, first.step, second.number, second.step, place()].join(" ");
    if (!known.has(key)) {
      const [a, b] = [first, second].map((side) => rankingOf(side.outcome, place(), stride));
      known.set(key, compareRankings(a, b, images, pedestrians, index.protocol));
    }
    return known.get(key);
  }

  /** What `alfnet compare` is to be asked for the same; its first IoU is the one by which pedestrians are found. */
  function command(first, second) {
    const file = ({ name, seed, step }) => `detections/${name}/${seed}/step${step}.json`;
    const rate = state.get("score") === "" && state.get("rate") !== "0.316" ? ` --fppi ${state.get("rate")}` : "";
    const iou = place() ? ` --iou ${index.ious[place()]}` : "";
    return `alfnet compare ${file(first)} ${file(second)} --ground-truth cache/ground_truth.json${index.protocol.options}${iou}${rate}`;
  }

  /** How many pedestrians of these images each of two sets finds alone: [[name of the table, [[row, A alone, B alone], ...]], ...]. */
  function foundAlone(first, second, images) {
    const heights = rangeNames(HEIGHTS, "px").map((name) => [name, 0, 0]);
    const parts = rangeNames(VISIBLE_PARTS, "%").map((name) => [name, 0, 0]);
    const kinds = index.missKinds.map(([, name]) => [name, 0, 0]);
    const total = { both: 0, alone: [0, 0], neither: 0 };
    for (const i of images) {
      index.images[i].truths.forEach(([, , , h, ignored, visible], n) => {
        if (ignored) return;
        const missed = [missOf(first, i, n), missOf(second, i, n)];
        if (missed.every((kind) => kind === "")) total.both += 1;
        else if (missed.every((kind) => kind !== "")) total.neither += 1;
        else {
          const finder = missed[0] === "" ? 0 : 1;
          total.alone[finder] += 1;
          heights[placeAmong(HEIGHTS, h)][1 + finder] += 1;
          parts[placeAmong(VISIBLE_PARTS, visible)][1 + finder] += 1;
          kinds[index.missKinds.findIndex(([kind]) => kind === missed[1 - finder])][1 + finder] += 1;
        }
      });
    }
    const tables = [["height", heights], ["visible part", parts], ["the other's error", kinds]];
    return { total, tables: tables.map(([name, rows]) => [name, rows.filter(([, a, b]) => a + b)]) };
  }

  function compared() {
    const node = control("compare");
    node.replaceChildren();
    node.hidden = sides.length < 2;
    if (node.hidden) return;
    const [first, second] = sides;
    html(node, "h3", {}, `A: ${first.title}; B: ${second.title}`);
    if (first.outcome.covered.some((covered, i) => covered !== second.outcome.covered[i])) {
      html(node, "p", {}, "A and B were tested on different images, so their miss rates cannot be compared. Choose two of one seed.");
      return;
    }
    const images = index.images.flatMap((_, i) => (first.outcome.covered[i] ? [i] : []));
    const worth = worthOf(first, second, images);
    if (!worth) {
      html(node, "p", {}, "No pedestrian in the subset.");
      return;
    }
    const signed = (value) => `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(2)}`;
    const { a, b, low, high, p } = worth;
    const table = html(html(node, "div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Both miss rates" }), "table", { id: "ex-rates" });
    const line = (parent, tag, cells) => {
      const row = html(parent, "tr");
      cells.forEach((cell, i) => html(row, i ? tag : "th", i ? { class: "number" } : { scope: "row" }, cell));
    };
    line(html(table, "thead"), "th", ["Miss rate, %", "A", "B", "A − B", "95 % interval of A − B", "p"]);
    line(html(table, "tbody"), "td", [`Reasonable, IoU ${index.ious[place()]}`, a.toFixed(2), b.toFixed(2), signed(a - b), `${signed(low)} to ${signed(high)}`, p.toFixed(3)]);
    const shows = high < 0 ? "A misses fewer" : low > 0 ? "B misses fewer" : "";
    html(node, "p", { class: "caption" },
      `${shows ? `These images show that ${shows}: the interval excludes 0.` : "These images do not tell A and B apart: the interval holds 0."} ` +
      `It is of A − B over ${images.length} images, drawn ${RESAMPLES.toLocaleString("en")} times with replacement, the same for A and B. p: how often a difference is ` +
      "as large when A and B are exchanged on random images. Other trainings of the same variants are another matter: the seeds tell of those.");

    const { total, tables } = foundAlone(first, second, images);
    const each = state.get("score") !== "" ? `from the score ${(first.threshold / 1000).toFixed(3)}` : `at ${state.get("rate")} false positives per image each`;
    html(node, "p", { id: "ex-alone" },
      `Of ${count(first.outcome.pedestrians, "pedestrian", "pedestrians")}, ${each}: ${total.both} found by both, ${total.alone[0]} by A alone, ` +
      `${total.alone[1]} by B alone, ${total.neither} by neither.`);
    if (total.alone[0] + total.alone[1]) {
      const beside = html(node, "div", { class: "beside" });
      for (const [name, rows] of tables) {
        const counts = html(beside, "table", { "data-counts": name });
        line(html(counts, "thead"), "th", [name, "A alone", "B alone"]);
        const body = html(counts, "tbody");
        for (const row of rows) line(body, "td", row.map(String));
      }
      html(node, "p", { class: "caption" }, "They are shown below with the choice “missed by … alone” as the kind of error.");
    }
    if (images.length === index.images.length) { // the command knows of no folds
      html(node, "p", { class: "caption" }, "The same in a terminal, for all subsets; --page and --images make a page of those that one alone finds. Scores are not rounded there, as they " +
        "are here to thousandths, so that a count may be another by one or two:");
      html(node, "pre", { id: "ex-command" }, command(first, second));
    }
    for (const scrolled of node.querySelectorAll(".scroll")) showScrolling(scrolled);
  }

  let turnNumber = 0;
  async function update() {
    const mine = ++turnNumber;
    const found = [await sideOf(state.get("set"), state.get("seed"), state.get("at"))];
    const [other, seed] = state.get("with").split("|");
    if (names.includes(other)) found.push(await sideOf(other, seed ?? state.get("seed"), state.get("with-at")));
    if (mine !== turnNumber) return;
    sides = found;
    for (const side of sides) side.threshold = state.get("score") !== "" ? Number(state.get("score")) : scoreAt(side.outcome, Number(state.get("rate")));
    fillControls();
    const text = totals();
    const noun = state.get("show") === "images" ? ["image", "images"] : ["crop", "crops"];
    listed = list();
    const first = AT_ONCE[state.get("show")];
    const shown = listed.length > first ? `${count(listed.length, ...noun)}; the first ${first} are shown.` : `${count(listed.length, ...noun)} shown.`;
    control("totals").replaceChildren(...[...text, shown].flatMap((line, i) => (i ? [document.createElement("br"), line] : [line])));
    compared();
    control("none").hidden = listed.length > 0;
    control("cards").replaceChildren();
    control("cards").className = state.get("show") === "images" ? "cards" : "cards crops";
    shownUpTo = 0;
    more();
    const wanted = index.images.findIndex((image) => image.name === state.get("image"));
    if (wanted >= 0 && sides.every((side) => side.outcome.covered[wanted]) && opened !== wanted) open(wanted);
    else if (opened >= 0) enlarge();
    control("cards").dataset.drawn = String(mine);
  }

  /* The controls. */

  function fillControls() {
    const [first, second] = sides;
    control("set").value = first.name;
    fillSelect(control("seed"), seedsOf(first.name).map((seed) => [String(seed), String(seed)]), String(first.seed));
    const steps = (set) => [["last", "last"], ...set.steps.map((step) => [String(step), String(step)])];
    const setOf = (side) => index.sets[numberOf(side.name, String(side.seed))];
    const asked = (side, key) => (setOf(side).steps.map(String).includes(state.get(key)) ? state.get(key) : "last");
    fillChoices(control("step"), steps(setOf(first)), asked(first, "at"));
    if (second) fillChoices(control("with-step"), steps(setOf(second)), asked(second, "with-at"));
    part("with-step").hidden = !second || setOf(second).steps.length < 2;
    control("with").value = state.get("with");
    control("iou").querySelector(`input[value="${index.ious[place()]}"]`).checked = true;
    const own = state.get("score") !== "";
    control("rate").querySelector(`input[value="${own ? "" : state.get("rate")}"]`).checked = true;
    control("score").value = String(first.threshold);
    control("score-value").textContent = (first.threshold / 1000).toFixed(3);
    for (const key of ["show", "size", "visible", "sort"]) control(key).value = state.get(key);
    fillKinds(second);
    control("kind").value = kindChosen();
    const drawn = new Set(state.get("drawn").split(","));
    for (const input of control("drawn").querySelectorAll("input")) input.checked = drawn.has(input.value);
  }
  const part = (name) => document.querySelector(`[data-part="${name}"]`);

  function fillKinds(second) {
    const select = control("kind");
    select.replaceChildren();
    html(select, "option", { value: "" }, "any");
    for (const [drawn, title, kinds] of [["missed", "missed", index.missKinds], ["false", "false positives", index.falseKinds]]) {
      const group = html(select, "optgroup", { label: title });
      html(group, "option", { value: drawn }, `all ${title}`);
      for (const [kind, name, meaning] of kinds) html(group, "option", { value: `${drawn}:${kind}`, title: meaning }, `${name}: ${meaning}`);
    }
    if (second) {
      const group = html(select, "optgroup", { label: "differences" });
      html(group, "option", { value: "first" }, `missed by ${sides[0].title} alone`);
      html(group, "option", { value: "second" }, `missed by ${second.title} alone`);
    }
  }

  fillSelect(control("set"), names.map((name) => [name, name]), state.get("set"));
  fillSelect(control("with"), [["", "nothing"], ...names.map((name) => [name, name]),
    ...(hasSeeds ? index.sets.map((set) => [`${set.name}|${set.seed}`, `${set.name}, seed ${set.seed}`]) : [])], "");
  fillChoices(control("iou"), index.ious.map((iou) => [iou, iou]), state.get("iou"));
  fillChoices(control("rate"), [...RATES.map((rate) => [rate, rate]), ["", "own score"]], "0.316");
  part("seed").hidden = !hasSeeds;
  part("step").hidden = index.sets.every((set) => set.steps.length < 2);
  part("with").hidden = index.sets.length < 2 && index.sets[0].steps.length < 2;
  for (const [drawn, name, meaning] of DRAWN) {
    const label = html(control("drawn"), "label", { title: meaning });
    html(label, "input", { type: "checkbox", value: drawn });
    rectangle(svg(label, "svg", { viewBox: "0 0 34 20", "aria-hidden": "true" }), drawn, [4.5, 3.5, 25, 13]);
    label.append(name);
  }
  const on = (name, event, changes) => control(name).addEventListener(event, () => { state.set(changes()); update(); });
  on("set", "change", () => ({ set: control("set").value }));
  on("seed", "change", () => ({ seed: control("seed").value }));
  on("step", "change", () => ({ at: chosen("step") }));
  on("with", "change", () => ({ with: control("with").value }));
  on("with-step", "change", () => ({ "with-at": chosen("with-step") }));
  on("iou", "change", () => ({ iou: chosen("iou") }));
  on("rate", "change", () => (chosen("rate") ? { rate: chosen("rate"), score: "" } : { score: control("score").value }));
  on("score", "input", () => ({ score: control("score").value }));
  for (const key of ["show", "kind", "size", "visible", "sort"]) on(key, "change", () => ({ [key]: control(key).value }));
  on("drawn", "change", () => ({ drawn: [...control("drawn").querySelectorAll("input:checked")].map((input) => input.value).join(",") }));
  control("more").addEventListener("click", more);
  const safely = () => update().catch((error) => { control("totals").textContent = error.message; });
  state.onChange(safely);
  safely();
}
