"use strict";

/**
 * What is chosen on the page, kept in its address (#section&key=value&...), so that it can be linked.
 * A key that has its first value is left out.
 */
const state = {
  section: "",
  values: {},
  first: {},
  allowed: {},
  listeners: [],
  /**
   * Read the address; `first` holds the keys and their first values, `allowed` the values that a key may have (a list, or a
   * function that tells). An address by hand or of another run may hold others: the first value takes their place.
   */
  start(first, allowed) {
    Object.assign(this.first, first);
    Object.assign(this.allowed, allowed);
    this.read();
    window.addEventListener("hashchange", () => {
      this.read();
      for (const listener of this.listeners) listener();
    });
  },
  read() {
    const [section, ...pairs] = location.hash.slice(1).split("&");
    this.values = {};
    const given = new URLSearchParams((section.includes("=") ? [section, ...pairs] : pairs).join("&"));
    for (const [key, value] of given) if (Object.hasOwn(this.first, key) && this.accepts(key, value)) this.values[key] = value;
    this.section = section.includes("=") ? "" : section;
  },
  accepts(key, value) {
    const allowed = this.allowed[key];
    return allowed === undefined || (typeof allowed === "function" ? allowed(value) : allowed.includes(value));
  },
  get(key) {
    return this.values[key] ?? this.first[key];
  },
  set(changes) {
    for (const [key, value] of Object.entries(changes)) this.values[key] = String(value);
    this.write();
  },
  write() {
    const shown = Object.entries(this.values).filter(([key, value]) => value !== this.first[key]);
    const pairs = new URLSearchParams(shown).toString();
    const address = [this.section, pairs].filter(Boolean).join("&");
    history.replaceState(null, "", `#${address}`);
  },
  /** A link to a section keeps the rest of the address. */
  link(anchor) {
    anchor.addEventListener("click", (event) => {
      event.preventDefault();
      this.section = anchor.hash.slice(1);
      this.write();
      byId(this.section).scrollIntoView();
    });
  },
  onChange(listener) {
    this.listeners.push(listener);
  },
};
