"""Writes alfnet/report/page/plots.html: the page that `dvc plots` fills, with Vega inside, so that it needs no network.

    python -m tools.plots_page

Vega, Vega-Lite and Vega-Embed (BSD 3-clause licence) come from vl-convert, which draws the PNG files with the same
Vega-Lite; run it again when vl-convert is updated. The report's own page takes its copy of Vega from this file.
"""

from __future__ import annotations

from pathlib import Path

import vl_convert

from alfnet.report.charts import VEGA_LITE

PAGE = Path(__file__).resolve().parent.parent / "alfnet" / "report" / "page" / "plots.html"
_HTML = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<!-- Written by tools/plots_page.py. `dvc plots` takes it by plots.html_template in .dvc/config. -->
{refresh_tag}
<title>Plots</title>
<link rel="icon" href="data:,">
<style>
body { margin: 0 auto; max-width: 1400px; padding: 1rem; background: #fff; color: #1d2329; font: 15px/1.5 system-ui, sans-serif; }
body > div, body > p { display: block !important; margin: 0 0 2.5rem; overflow-x: auto; }
/* A chart a little wider than the page shrinks into it; on a narrow screen it scrolls instead. */
@media (min-width: 1000px) { body > div > svg { max-width: 100%; height: auto; } }
img { max-width: 100%; height: auto; }
table { border-spacing: 15px; }
h2 { margin: 0 0 0.5rem; font-size: 1.1rem; }
/* Images of revisions: beside each other where they fit, else one below the other, and never wider than the page. */
body > .images {
  display: flex !important; flex-wrap: wrap; gap: 1rem;
  border: 0 !important; text-align: left !important; white-space: normal !important;
}
.images > h2 { flex-basis: 100%; }
.images > div { flex: 1 1 30rem; max-width: 56rem; margin: 0 !important; border: 1px solid #c9ced6 !important; }
.images > div > p { margin: 0.3rem 0.6rem; color: #59636e; }
.images img { display: block; margin: auto; }
</style>
<script id="library">LIBRARY</script>
<script>
// Each chart is drawn in the page's own way: without Vega's menu, as sharp lines at every size.
const embed = window.vegaEmbed;
window.vegaEmbed = (place, chart) => embed(place, chart, { actions: false, renderer: "svg" });
</script>
</head>
<body>
{plot_divs}
<script>
// DVC titles images by their paths; these are the report's.
const titles = {
  "steps.png": "Miss rate by the step that is tested",
  "miss_rate_curves.png": "Miss rate over false positives per image",
  "positives.png": "Boxes that fit a pedestrian, before and after each step",
  "detections.png": "Detections on validation images",
};
for (const image of document.querySelectorAll("body > div > div > p + img")) {
  const place = image.parentElement.parentElement, title = place.querySelector(":scope > p");
  place.className = "images";
  if (!title) continue;
  const path = title.textContent.trim(), heading = document.createElement("h2");
  heading.textContent = titles[path.split(/[\\/]/).pop()] || path;
  heading.title = path;
  title.replaceWith(heading);
}
</script>
</body>
</html>
"""


def page() -> str:
    """Return the page's text."""
    library = vl_convert.javascript_bundle(None, vl_version=VEGA_LITE)  # type: ignore[arg-type]
    for forbidden in ("</script", "{plot_divs}", "{refresh_tag}", "{scripts}"):
        if forbidden in library:
            raise ValueError(f"the library contains {forbidden}, which would end or change the page")
    return _HTML.replace("LIBRARY", library)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE}: {PAGE.stat().st_size:,} bytes")
