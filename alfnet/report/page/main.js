"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const PALETTE = 7;

data.variants.forEach((variant, index) => {
  variant.colour = `var(--c${index % PALETTE})`;
  // Dotted where a colour comes again.
  variant.dash = index >= PALETTE ? "2 3" : variant.backbone === "resnet50" ? "" : "7 4";
});

const missRate = (variant, step, iou, subset = "reasonable") => data.missRates[variant][step]?.[iou]?.[subset] ?? null;

stepChart(byId("steps-plot"), data.variants, data.tableIous, missRate);

/* Miss rate over false positives per image. */
function curves() {
  const [subset, iou, step, key] = ["curve-subset", "curve-iou", "curve-step", "curve-key"].map(byId);
  const chosen = (node) => node.querySelector("input:checked").value;
  const hidden = new Set();
  const stepsOf = (variant) => {
    const wanted = chosen(step);
    if (wanted === "last") return variant.steps.slice(-1);
    if (wanted === "all") return variant.steps;
    return variant.steps.filter((s) => String(s) === wanted);
  };
  const name = (variant, s) => (chosen(step) === "last" ? variant.name : `${variant.name}, step ${s}`);

  function settings() {
    const series = [];
    for (const variant of data.variants) {
      if (hidden.has(variant.name)) continue;
      for (const s of stepsOf(variant)) {
        const curve = data.curves[variant.name][s]?.[chosen(iou)]?.[subset.value];
        if (!curve) continue;
        const faint = chosen(step) === "all" && s !== variant.steps.at(-1);
        series.push({ name: name(variant, s), colour: variant.colour, dash: variant.dash, faint, x: curve[0], y: curve[1] });
      }
    }
    const shown = series.flatMap((s) => s.y.filter((y, i) => y > 0 && s.x[i] <= 10));
    const low = Math.max(0.005, Math.min(0.5, ...shown) * 0.85);
    const show = (value, exact) => (exact ? `${(100 * value).toFixed(2)} %` : `${Number((100 * value).toPrecision(3))} %`);
    return {
      series, steps: true, band: [0.01, 1],
      x: {
        low: 0.008, high: 10, log: true, ticks: [0.01, 0.0316, 0.1, 0.316, 1, 3.16, 10], show: String,
        label: "false positives per image", name: "false positives per image",
      },
      y: { low, high: 1, log: true, ticks: [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1], show },
    };
  }
  const draw = lineChart(byId("curve-plot"), "Miss rate over false positives per image", settings);

  function update() {
    key.replaceChildren();
    html(key, "li", { class: "head" }, "log-average miss rate");
    for (const variant of data.variants) {
      const label = html(html(key, "li"), "label");
      const box = html(label, "input", { type: "checkbox", "data-variant": variant.name });
      box.checked = !hidden.has(variant.name);
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(variant.name);
        else hidden.add(variant.name);
        draw();
      });
      const line = svg(label, "svg", { class: "swatch", viewBox: "0 0 30 12", "aria-hidden": "true" });
      svg(line, "path", { d: "M1,6H29", fill: "none", "stroke-width": 3, style: `stroke:${variant.colour}`, "stroke-dasharray": variant.dash || "none" });
      html(label, "span", {}, variant.name);
      const steps = stepsOf(variant);
      const values = steps.map((s) => percent(missRate(variant.name, s, chosen(iou), subset.value)));
      html(label, "span", { class: "value" }, steps.length ? values.join(" → ").replaceAll(" % →", " →") : "no such step");
    }
    draw();
  }
  for (const control of [subset, iou, step]) control.addEventListener("change", update);
  update();
}
curves();

const drawBars = barChart(byId("positives-plot"), data.positives, data.positiveBins, () =>
  byId("positives-unit").querySelector("input:checked").value === "relative");
byId("positives-unit").addEventListener("change", drawBars);

/* Loss curves; a variant without them (an imported detector) has none to show. */
function losses() {
  const section = byId("losses");
  const select = byId("loss-series");
  if (!section || !data.lossSeries.length) return;
  for (const name of data.lossSeries) html(select, "option", { value: name }, name);
  select.value = data.lossSeries.find((name) => /total|^loss$|\/loss$/.test(name)) ?? data.lossSeries[0];
  function settings() {
    const series = data.variants.filter((v) => data.losses[select.value][v.name]).map((v) => {
      const [x, y] = data.losses[select.value][v.name];
      return { name: v.name, colour: v.colour, dash: v.dash, x, y };
    });
    const values = series.flatMap((s) => s.y);
    const log = byId("loss-log").checked && Math.min(...values) > 0;
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const low = log ? least * 0.9 : Math.min(0, least);
    const high = log ? most * 1.1 : most * 1.05 || 1;
    const ticks = log
      ? [-5, -4, -3, -2, -1, 0, 1, 2, 3].flatMap((e) => [1, 1.5, 2, 3, 4, 5, 6, 8].map((m) => Number((m * 10 ** e).toPrecision(3))))
      : niceTicks(low, high, 6);
    const last = Math.max(...series.flatMap((s) => s.x));
    const first = Math.min(...series.flatMap((s) => s.x));
    return {
      series, steps: false, band: null,
      x: { low: first, high: last, log: false, ticks: niceTicks(first, last, 8), show: String, label: "updates", name: "update" },
      y: { low, high, log, ticks, show: (value) => Number(value.toPrecision(3)).toString() },
    };
  }
  const draw = lineChart(byId("loss-plot"), "Training losses", settings);
  select.addEventListener("change", draw);
  byId("loss-log").addEventListener("change", draw);
  const key = byId("loss-key");
  for (const variant of data.variants) {
    const item = html(key, "li");
    const line = svg(item, "svg", { class: "swatch", viewBox: "0 0 30 12", "aria-hidden": "true" });
    svg(line, "path", { d: "M1,6H29", fill: "none", "stroke-width": 3, style: `stroke:${variant.colour}`, "stroke-dasharray": variant.dash || "none" });
    item.append(` ${variant.name}`);
  }
}
losses();

if (data.gallery.images.length) gallery(byId("gallery"), data.gallery);
document.documentElement.dataset.ready = "true";
