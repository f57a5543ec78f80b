"use strict";

const SVG = "http://www.w3.org/2000/svg";

/** Append an SVG element with attributes (and text) to a parent, and return it. */
function svg(parent, name, attributes = {}, text = "") {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  parent.append(node);
  return node;
}

/** The same for HTML. */
function html(parent, name, attributes = {}, text = "") {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  parent.append(node);
  return node;
}

/** Call draw(width) now and whenever the width of a node changes. */
function onWidth(node, draw) {
  let width = 0;
  const update = () => {
    const now = Math.floor(node.clientWidth);
    if (now > 0 && now !== width) draw((width = now));
  };
  new ResizeObserver(update).observe(node);
  update();
}

const percent = (value) => (value == null ? "–" : value.toFixed(2) + " %");
const plain = (value) => (value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toPrecision(2));
const thousands = (value) => Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ",");

/** A scale from [low, high] to [start, end]; logarithmic where asked. */
function scale(low, high, start, end, logarithmic) {
  const f = logarithmic ? Math.log10 : (v) => v;
  const [a, b] = [f(low), f(high)];
  const to = (value) => start + ((f(value) - a) / (b - a || 1)) * (end - start);
  to.back = (position) => {
    const value = a + ((position - start) / (end - start)) * (b - a);
    return logarithmic ? 10 ** value : value;
  };
  return to;
}

/** Round values between low and high, about `count` of them. */
function niceTicks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

/** The position in an ascending list of the last value <= x, or -1. */
function lastAtMost(values, x) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * A line chart with a cursor that shows every line's value; moved by pointer, touch or the arrow keys.
 * options(): {series: [{name, colour, dash, faint, x: [], y: []}], x: {low, high, log, ticks, label, show},
 *             y: likewise, band: [low, high] or null, steps: whether a value holds until the next one}
 * Returns redraw().
 */
function lineChart(plot, name, options) {
  const tip = html(plot, "div", { class: "tip", hidden: "" });
  let width = 0;
  let cursor = null;

  function draw() {
    if (!width) return;
    const settings = options();
    const { x, y } = settings;
    const height = Math.round(Math.min(460, Math.max(300, width * 0.56)));
    const [left, right, top, bottom] = [52, width - 10, 12, height - 44];
    const xs = scale(x.low, x.high, left, right, x.log);
    const ys = scale(y.low, y.high, bottom, top, y.log);
    plot.querySelector("svg")?.remove();
    const root = svg(plot, "svg", {
      viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0",
      "aria-label": `${name}: ${settings.series.map((s) => s.name).join(", ")}. Arrow keys move the cursor.`,
    });
    const clip = svg(svg(root, "clipPath", { id: `${plot.id}-clip` }), "rect", {});
    for (const [key, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) clip.setAttribute(key, value);
    if (settings.band) {
      const [from, to] = settings.band.map((v) => Math.min(right, Math.max(left, xs(v))));
      svg(root, "rect", { class: "band", x: from, y: top, width: to - from, height: bottom - top });
    }
    let free = -Infinity;
    for (const tick of x.ticks.filter((t) => t >= x.low && t <= x.high)) {
      svg(root, "line", { class: "grid", x1: xs(tick), x2: xs(tick), y1: top, y2: bottom });
      if (xs(tick) - free < 34) continue;
      svg(root, "text", { x: xs(tick), y: bottom + 17, "text-anchor": "middle" }, x.show(tick));
      free = xs(tick);
    }
    free = Infinity;
    for (const tick of y.ticks.filter((t) => t >= y.low && t <= y.high)) {
      svg(root, "line", { class: "grid", x1: left, x2: right, y1: ys(tick), y2: ys(tick) });
      if (free - ys(tick) < 15) continue;
      svg(root, "text", { x: left - 7, y: ys(tick) + 4, "text-anchor": "end" }, y.show(tick));
      free = ys(tick);
    }
    svg(root, "text", { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, x.label);
    const lines = svg(root, "g", { "clip-path": `url(#${plot.id}-clip)` });
    for (const line of settings.series) {
      let path = "";
      // A curve starts at the left edge with the last value before it.
      for (let i = settings.steps ? Math.max(0, lastAtMost(line.x, x.low)) : 0; i < line.x.length; i++) {
        if (y.log && line.y[i] <= 0) continue;
        const [px, py] = [xs(Math.max(line.x[i], x.low)).toFixed(1), ys(line.y[i]).toFixed(1)];
        path += !path ? `M${px},${py}` : settings.steps ? `H${px}V${py}` : `L${px},${py}`;
      }
      if (path && settings.steps && line.x.at(-1) < x.high) path += `H${right}`;
      if (path) {
        svg(lines, "path", {
          class: "series", d: path, style: `stroke:${line.colour}`, "stroke-dasharray": line.dash || "none",
          "stroke-opacity": line.faint ? 0.5 : 1, "data-name": line.name,
        });
      }
    }
    const marks = svg(root, "g");

    function show() {
      marks.replaceChildren();
      tip.hidden = cursor === null;
      if (cursor === null) return;
      const position = Math.min(right, Math.max(left, cursor));
      const at = xs.back(position);
      svg(marks, "line", { class: "cursor", x1: position, x2: position, y1: top, y2: bottom });
      const values = [];
      for (const line of settings.series) {
        const index = lastAtMost(line.x, at);
        const value = index < 0 ? null : line.y[index];
        values.push([line, value]);
        if (value === null || value < y.low || value > y.high) continue;
        svg(marks, "circle", { cx: position, cy: ys(value), r: 4, style: `fill:${line.colour}` });
      }
      values.sort((a, b) => (a[1] ?? Infinity) - (b[1] ?? Infinity));
      tip.replaceChildren();
      html(tip, "div", { class: "soft" }, `${x.name}: ${plain(at)}`);
      const rows = html(tip, "table");
      for (const [line, value] of values) {
        const row = html(rows, "tr");
        html(row, "td", { style: `color:${line.colour}` }, line.name);
        html(row, "td", {}, value === null ? "–" : y.show(value, true));
      }
      const beside = position + 14 + tip.offsetWidth <= width ? position + 14 : Math.max(0, position - 14 - tip.offsetWidth);
      // Beside the cursor; in a narrow window below the chart, where it hides no curve.
      const below = width < 560;
      tip.style.left = below ? "0" : `${beside}px`;
      tip.style.top = below ? `${height}px` : `${top + 4}px`;
    }
    const move = (event) => {
      cursor = ((event.clientX - root.getBoundingClientRect().left) / root.getBoundingClientRect().width) * width;
      show();
    };
    const leave = () => { cursor = null; show(); };
    root.addEventListener("pointermove", move);
    root.addEventListener("pointerdown", move);
    root.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && leave());
    root.addEventListener("blur", leave);
    root.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -8, ArrowRight: 8 }[event.key];
      if (event.key === "Escape") leave();
      if (!by) return;
      cursor = Math.min(right, Math.max(left, (cursor ?? (left + right) / 2) + by));
      show();
      event.preventDefault();
    });
    show();
  }
  onWidth(plot, (now) => { width = now; draw(); });
  return draw;
}

/** Rows of numbered dots: each variant's miss rate at its test steps, one panel per IoU. */
function stepChart(plot, variants, ious, missRate) {
  onWidth(plot, (width) => {
    plot.replaceChildren();
    const beside = width >= 760;
    const names = 128;
    const panel = beside ? (width - 24) / 2 : width;
    const rowHeight = 34;
    const panelHeight = 30 + variants.length * rowHeight + (beside ? 40 : 58);
    const root = svg(plot, "svg", {
      viewBox: `0 0 ${width} ${beside ? panelHeight : panelHeight * ious.length}`, role: "img",
      "aria-label": "Miss rate of each variant at each of its test steps; the numbers are in the ablation table.",
    });
    ious.forEach((iou, index) => {
      const all = variants.flatMap((v) => v.steps.map((step) => missRate(v.name, step, iou))).filter((v) => v != null);
      const group = svg(root, "g", { transform: beside ? `translate(${index * (panel + 24)},0)` : `translate(0,${index * panelHeight})` });
      const span = Math.max(4, Math.max(...all) - Math.min(...all));
      const [low, high] = [Math.max(0, Math.min(...all) - span * 0.12), Math.max(...all) + span * 0.12];
      const xs = scale(low, high, names, panel - 12, false);
      const bottom = 30 + variants.length * rowHeight;
      svg(group, "text", { class: "title", x: names, y: 15 }, `IoU ${iou}`);
      for (const tick of niceTicks(low, high, panel < 420 ? 4 : 6)) {
        svg(group, "line", { class: "grid", x1: xs(tick), x2: xs(tick), y1: 26, y2: bottom });
        svg(group, "text", { x: xs(tick), y: bottom + 16, "text-anchor": "middle" }, `${tick} %`);
      }
      svg(group, "text", { x: (names + panel - 12) / 2, y: bottom + 34, "text-anchor": "middle" }, "miss rate – further left is better");
      variants.forEach((variant, row) => {
        const y = 30 + (row + 0.5) * rowHeight;
        const short = variant.name.length > 17 ? variant.name.slice(0, 16) + "…" : variant.name;
        svg(group, "text", { class: "strong", x: names - 12, y: y + 4, "text-anchor": "end" }, short);
        const points = variant.steps.map((step) => [step, missRate(variant.name, step, iou)]).filter((p) => p[1] != null);
        if (points.length > 1) {
          const path = points.map((p, i) => `${i ? "L" : "M"}${xs(p[1])},${y}`).join("");
          svg(group, "path", { d: path, class: "series", style: `stroke:${variant.colour}`, "stroke-opacity": 0.45, "stroke-width": 4 });
        }
        points.forEach(([step, value], i) => {
          const last = i === points.length - 1;
          const dot = svg(group, "g", { class: "dot" });
          svg(dot, "title", {}, `${variant.name}, test step ${step}, IoU ${iou}: ${percent(value)}`);
          svg(dot, "circle", {
            cx: xs(value), cy: y, r: 9.5, style: `stroke:${variant.colour};fill:${last ? variant.colour : "var(--ground)"}`, "stroke-width": 2,
          });
          svg(dot, "text", {
            x: xs(value), y: y + 4, "text-anchor": "middle", style: `fill:${last ? "var(--ground)" : "var(--text)"};font-weight:600;font-size:11px`,
          }, String(step));
        });
      });
    });
  });
}

/** Stacked bars per model; returns redraw(). perPedestrian(): counts per ground truth instead of boxes. */
function barChart(plot, panels, bins, perPedestrian) {
  let width = 0;
  function draw() {
    if (!width) return;
    plot.replaceChildren();
    const relative = perPedestrian();
    const shown = relative ? panels.filter((p) => p.groundTruths) : panels;
    const divide = (panel) => (relative ? panel.groundTruths : 1);
    const total = (counts) => counts.reduce((a, b) => a + b, 0);
    const columns = Math.max(1, Math.min(shown.length, Math.floor(width / 172)));
    const size = width / columns;
    const height = 262;
    const root = svg(plot, "svg", {
      viewBox: `0 0 ${width} ${height * Math.ceil(shown.length / columns)}`, role: "img",
      "aria-label": "Boxes that fit a pedestrian, before and after each step, as stacked bars; the numbers are in plots/positives.csv.",
    });
    const own = Math.max(1e-9, ...shown.filter((p) => p.groundTruths).flatMap((p) => p.bins.map((b) => total(b) / divide(p))));
    shown.forEach((panel, index) => {
      const group = svg(root, "g", { transform: `translate(${(index % columns) * size},${Math.floor(index / columns) * height})` });
      const top = panel.groundTruths ? own : Math.max(...panel.bins.map(total));
      const ys = scale(0, top, height - 40, 62, false);
      if (!panel.groundTruths) svg(group, "rect", { x: 2, y: 2, width: size - 6, height: height - 14, rx: 6, style: "fill:var(--paper)" });
      svg(group, "text", { class: "title", x: 12, y: 20 }, panel.name);
      const slot = (size - 20) / Math.max(panel.stages.length, 3);
      panel.stages.forEach((stage, i) => {
        const x = 10 + slot * i + slot * 0.12;
        let sum = 0;
        panel.bins[i].forEach((count, bin) => {
          const [from, to] = [ys(sum / divide(panel)), ys((sum + count) / divide(panel))];
          const bar = svg(group, "rect", { x, y: to, width: slot * 0.76, height: Math.max(0, from - to), style: `fill:var(--b${bin})` });
          svg(bar, "title", {}, `${panel.name}, ${stage}, IoU ${bins[bin]}: ${thousands(count)} boxes`);
          sum += count;
        });
        const middle = x + slot * 0.38;
        const value = relative ? plain(sum / divide(panel)) : thousands(sum);
        const y = ys(sum / divide(panel)) - 6;
        const first = total(panel.bins[0]);
        if (i && first) svg(group, "text", { class: "strong", x: middle, y: y - 13, "text-anchor": "middle", style: "font-weight:600" }, `× ${(sum / first).toFixed(1)}`);
        svg(group, "text", { x: middle, y, "text-anchor": "middle", style: "font-size:11px" }, value);
        svg(group, "text", { x: middle, y: height - 24, "text-anchor": "middle", style: "font-size:11px" }, stage);
      });
    });
  }
  onWidth(plot, (now) => { width = now; draw(); });
  return draw;
}
