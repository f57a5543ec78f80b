"use strict";

const LIGHT = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#D69500", "#56B4E9", "#5B5B5B", "#882255", "#332288", "#7A7A22"];
const DARK = ["#5CB0EA", "#FF8F4A", "#3FCFA2", "#EBA3CD", "#F2BD4C", "#9AD7FF", "#B9B9B9", "#E08BB0", "#A89BEA", "#D6D670"];
const isDark = matchMedia("(prefers-color-scheme: dark)");
const palette = () => (isDark.matches ? DARK : LIGHT);

/** The colours of the page for a chart. */
function theme() {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const [text, soft, line] = [css("--text"), css("--soft"), css("--line")];
  return {
    background: null,
    font: getComputedStyle(document.body).fontFamily,
    axis: { gridColor: line, domainColor: soft, tickColor: soft, labelColor: soft, titleColor: soft, labelFontSize: 12, titleFontSize: 12.5, titleFontWeight: "normal" },
    header: { labelColor: text, labelFontSize: 13.5, labelFontWeight: "bold" },
    legend: { labelColor: text, titleColor: soft, labelFontSize: 12.5, titleFontSize: 12.5, titleFontWeight: "normal", symbolOpacity: 1, symbolStrokeWidth: 3, orient: "bottom", columns: 3 },
    text: { fill: text },
    view: { stroke: null },
    range: { category: palette(), ordinal: ["--b0", "--b1", "--b2", "--b3", "--b4"].map(css) },
  };
}

/**
 * Draw a chart of the report (a Vega-Lite specification that `dvc plots` shows too) in a node, and again when its width or
 * the page's colours change. prepare(chart, width) may change its own copy; after(view) is called when it is drawn.
 * Returns redraw().
 */
function drawChart(node, chart, prepare, after = () => {}) {
  let width = 0;
  let turn = 0;
  async function draw() {
    if (!width) return;
    const mine = ++turn;
    const own = structuredClone(chart);
    own.config = theme();
    delete own.title; // the page says it
    prepare(own, width);
    const place = document.createElement("div");
    const { view } = await vegaEmbed(place, own, { actions: false, renderer: "svg", mode: "vega-lite", logLevel: 1, tooltip: { theme: isDark.matches ? "dark" : "light" } });
    if (mine !== turn) return view.finalize();
    node.querySelector(".drawn")?.remove();
    place.className = "drawn";
    node.append(place);
    node.dataset.drawn = String(mine);
    after(view, place);
  }
  onWidth(node, (now) => { width = now; draw(); });
  isDark.addEventListener("change", draw);
  return draw;
}

/** Panels beside each other where there is room for them, else below each other; returns the width of one. */
function placePanels(chart, width, panels, margin) {
  const beside = width >= 760;
  if (!beside) {
    chart.facet.row = chart.facet.column;
    delete chart.facet.column;
    chart.facet.row.header = { orient: "top", labelAnchor: "start" };
    chart.facet.row.title = null;
  }
  return Math.floor((beside ? (width - margin - 24 * panels) / panels : width - margin - 16));
}

/** Whether a chart's axes are in a panel of a screen too narrow for long texts. */
const isNarrow = (width) => width < 560;
