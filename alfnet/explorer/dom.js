"use strict";

const byId = (id) => document.getElementById(id);

/** Append an SVG element with attributes (and text) to a parent, and return it. */
function svg(parent, name, attributes = {}, text = "") {
  return append(parent, document.createElementNS("http://www.w3.org/2000/svg", name), attributes, text);
}

/** The same for HTML. */
function html(parent, name, attributes = {}, text = "") {
  return append(parent, document.createElement(name), attributes, text);
}

function append(parent, node, attributes, text) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== "") node.textContent = text;
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

/** Say that a wide table or menu scrolls: a shadow on the side where there is more. */
function showScrolling(node) {
  const update = () => {
    node.classList.toggle("more-left", node.scrollLeft > 2);
    node.classList.toggle("more-right", node.scrollLeft + node.clientWidth < node.scrollWidth - 2);
  };
  node.addEventListener("scroll", update, { passive: true });
  new ResizeObserver(update).observe(node);
  update();
}

/** Fill a row of radio buttons; choices: [[value, text], ...]. */
function fillChoices(node, choices, chosen) {
  node.replaceChildren();
  for (const [value, text] of choices) {
    const label = html(node, "label");
    html(label, "input", { type: "radio", name: node.id, value }).checked = value === chosen;
    html(label, "span", {}, text);
  }
}

function fillSelect(node, choices, chosen) {
  node.replaceChildren();
  for (const [value, text] of choices) html(node, "option", { value }, text);
  node.value = chosen;
}

/** The number of values in an ascending list below x. */
function countBelow(values, x) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}
