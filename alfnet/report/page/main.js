"use strict";

const data = JSON.parse(byId("data").textContent);
const names = data.variants.map((variant) => variant.name);
const colourOf = (name) => palette()[names.indexOf(name) % palette().length];
const colourScale = () => ({ domain: names, range: names.map(colourOf) });

const curveSteps = [...byId("curve-step").querySelectorAll("input")].map((input) => input.value);
state.start(
  { subset: "reasonable", step: "last", hidden: "", loss: "", ...explorerState(data.explorer) },
  { subset: valuesOf("curve-subset"), step: curveSteps, ...explorerValues(data.explorer) },
);
for (const anchor of document.querySelectorAll("nav a")) state.link(anchor);

/* Miss rate by the step that is tested. */
drawChart(byId("steps-plot"), data.charts.steps, (chart, width) => {
  chart.spec.width = placePanels(chart, width, 2, isNarrow(width) ? 122 : 170);
  if (isNarrow(width)) chart.spec.encoding.y.axis = { ...chart.spec.encoding.y.axis, labelLimit: 118, labelFontSize: 11 };
  chart.spec.encoding.color.scale = colourScale();
});

/* Miss rate over false positives per image. */
function curves() {
  const [subset, step, key, plot] = ["curve-subset", "curve-step", "curve-key", "curve-plot"].map(byId);
  const hidden = () => new Set(state.get("hidden").split(",").filter(Boolean));
  let cursor = null; // false positives per image
  let grid = [];
  let mark = () => {};

  /** The lines that are chosen: [variant, test step, name, what it is called in the chart]. */
  function lines() {
    const chosen = state.get("step");
    return data.variants.flatMap(({ name, steps }) => {
      const shown = chosen === "last" ? steps.slice(-1) : chosen === "all" ? steps : steps.filter((s) => String(s) === chosen);
      return shown.map((s) => ({ variant: name, step: s, name: chosen === "last" ? name : `${name}, step ${s}`, last: s === steps.at(-1) }));
    });
  }
  const curveOf = (line, iou) => data.curves[line.variant][line.step]?.[iou]?.[state.get("subset")];

  function rows() {
    const off = hidden();
    return lines().filter((line) => !off.has(line.variant)).flatMap((line) => data.ious.flatMap((iou) => {
      const [x, mean, low, high] = curveOf(line, iou) ?? [[], [], [], []];
      return x.map((fppi, i) => ({ variant: line.name, iou, fppi, mean: mean[i], low: low[i], high: high[i] }));
    }));
  }

  const draw = drawChart(plot, data.charts.miss_rate, (chart, width) => {
    const shown = rows();
    chart.data.values = shown;
    const panel = placePanels(chart, width, data.ious.length, 50);
    chart.spec.width = panel;
    chart.spec.height = Math.round(Math.min(380, Math.max(260, panel * 0.85)));
    const all = lines();
    const dashed = state.get("step") === "all";
    chart.spec.encoding.color = {
      ...chart.spec.encoding.color, legend: null,
      scale: { domain: all.map((line) => line.name), range: all.map((line) => colourOf(line.variant)) },
    };
    for (const layer of chart.spec.layer) delete layer.encoding.tooltip; // the list of variants tells the values
    if (dashed) {
      const line = chart.spec.layer.find((layer) => layer.mark.type === "line");
      line.encoding.strokeDash = {
        field: "curve", type: "nominal", legend: null,
        scale: { domain: all.map((l) => l.name), range: all.map((l) => (l.last ? [1, 0] : l.step === 1 ? [2, 3] : [6, 3])) },
      };
    }
    grid = [...new Set(shown.map((row) => row.fppi))].sort((a, b) => a - b);
  }, (view) => {
    view.addSignalListener("hover", (_, value) => {
      const at = value.fppi_value?.[0];
      cursor = at === undefined ? null : Number(at);
      fillKey();
    });
    mark = (value) => { // the arrow keys; the pointer marks the points itself
      cursor = value;
      fillKey();
    };
  });

  function fillKey() {
    const off = hidden();
    const percent = (value) => `${(100 * value).toFixed(1)} %`;
    key.replaceChildren();
    const head = html(key, "tr");
    html(head, "th", {}, cursor === null ? "log-average miss rate" : `at ${Number(cursor.toPrecision(2))} per image`);
    for (const iou of data.ious) html(head, "th", { class: "number" }, `IoU ${iou}`);
    for (const line of lines()) {
      const row = html(key, "tr");
      const label = html(html(row, "th", { scope: "row" }), "label");
      const box = html(label, "input", { type: "checkbox", "data-variant": line.variant });
      box.checked = !off.has(line.variant);
      box.addEventListener("change", () => {
        const now = hidden();
        if (box.checked) now.delete(line.variant);
        else now.add(line.variant);
        state.set({ hidden: [...now].join(",") });
        update();
      });
      html(label, "i", { class: "swatch", style: `background:${colourOf(line.variant)}` });
      html(label, "span", {}, line.name);
      for (const iou of data.ious) {
        const curve = curveOf(line, iou);
        const place = curve && cursor !== null ? countBelow(curve[0], cursor * 1.0001) - 1 : -1;
        const rate = cursor === null ? `${data.missRates[line.variant][line.step][iou]?.[state.get("subset")] ?? "–"}` : place < 0 ? "–" : percent(curve[1][place]);
        html(row, "td", { class: "number" }, rate);
      }
    }
  }

  function update() {
    subset.value = state.get("subset");
    const chosen = step.querySelector(`input[value="${CSS.escape(state.get("step"))}"]`) ?? step.querySelector("input");
    chosen.checked = true;
    fillKey();
    draw();
  }
  plot.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") mark(null);
    if (!by || !grid.length) return;
    const at = cursor === null ? grid.length >> 1 : countBelow(grid, cursor * 0.9999) + by;
    mark(grid[Math.min(grid.length - 1, Math.max(0, at))]);
    event.preventDefault();
  });
  subset.addEventListener("change", () => { state.set({ subset: subset.value }); update(); });
  step.addEventListener("change", () => { state.set({ step: step.querySelector("input:checked").value }); update(); });
  state.onChange(update);
  update();
}
curves();

drawChart(byId("positives-plot"), data.charts.positives, () => {});

/* Losses; a variant without them (an imported detector) has none to show. */
function losses() {
  const select = byId("loss-part");
  if (!select) return;
  const all = data.charts.training.data.values;
  const parts = [...new Set(all.map((row) => row.part))];
  const words = (part) => (part === "loss" ? "total loss" : part.replace("_", ", ").replace("step", "step "));
  fillSelect(select, parts.map((part) => [part, words(part)]), "");
  const part = () => (parts.includes(state.get("loss")) ? state.get("loss") : parts.includes("loss") ? "loss" : parts[0]);
  const draw = drawChart(byId("loss-plot"), data.charts.training, (chart, width) => {
    chart.data.values = all.filter((row) => row.part === part());
    chart.columns = 1;
    chart.spec.width = width - 60;
    chart.spec.height = Math.round(Math.min(380, Math.max(240, width * 0.4)));
    const used = new Set(chart.data.values.map((row) => row.variant));
    chart.spec.encoding.color.scale = { domain: names.filter((name) => used.has(name)), range: names.filter((name) => used.has(name)).map(colourOf) };
    if (isNarrow(width)) chart.config.legend.columns = 2;
  });
  const update = () => { select.value = part(); draw(); };
  select.addEventListener("change", () => { state.set({ loss: select.value }); update(); });
  state.onChange(update);
  update();
}
losses();

/* Speed lies in a file beside the report, since no two runs agree on it; without that file there is none to show. */
function speed() {
  const found = window.alfnetTimings;
  if (!found) return;
  const table = byId("speed-table");
  const used = found.columns.map((_, i) => found.rows.some((row) => row[i] !== null));
  const line = (parent, cells, tag) => {
    const row = html(parent, "tr");
    cells.forEach((cell, i) => used[i] && html(row, i ? tag : "th", {}, cell === null ? "–" : String(cell)));
  };
  line(html(table, "thead"), found.columns, "th");
  const body = html(table, "tbody");
  for (const row of found.rows) line(body, row.map((cell, i) => (i === 1 && cell !== null ? cell.toFixed(2) : cell)), "td");
  byId("speed-caption").textContent = found.caption;
  byId("speed").hidden = byId("speed-link").hidden = false;
}
speed();

explorer(data.explorer);
for (const node of document.querySelectorAll(".scroll, nav ul")) showScrolling(node);

/* A link to a section: the charts above it take their place first. */
if (state.section) {
  const there = byId(state.section);
  const go = () => there?.scrollIntoView({ behavior: "instant" });
  go();
  const watch = new ResizeObserver(go);
  for (const node of document.querySelectorAll(".plot")) watch.observe(node);
  const stop = () => watch.disconnect();
  for (const event of ["wheel", "touchstart", "keydown", "pointerdown"]) window.addEventListener(event, stop, { once: true, passive: true });
  setTimeout(stop, 4000);
}
document.documentElement.dataset.ready = "true";
