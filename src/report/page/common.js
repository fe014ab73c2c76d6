// What the pages that the program writes have in common: making elements, numbers as people read them, the theme. Whatever comes from
// outside reaches a document as text only, by el() and textContent.
"use strict";

const root = document.documentElement;
const main = document.getElementById("main");

// ---- Making elements

function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  return node;
}

const el = (tag, attributes, ...children) => add(set(document.createElement(tag), attributes), children);
const svg = (tag, attributes, ...children) => add(set(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes), children);

// ---- Numbers as people read them

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const percent = (value) => isNumber(value) ? value.toFixed(1) : "–";
const count = (value) => isNumber(value) ? Math.round(value).toLocaleString("en") : "–";
const NBSP = "\u00a0";  // between a number and its unit
const plural = (number, noun) => count(number) + " " + noun + (number === 1 ? "" : "s");

function short(value) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

function duration(seconds) {
  if (!isNumber(seconds)) return "–";
  if (seconds < 59.95) return seconds.toFixed(1) + NBSP + "s";
  const whole = Math.round(seconds);
  if (whole < 3600) return Math.floor(whole / 60) + NBSP + "min" + NBSP + String(whole % 60).padStart(2, "0") + NBSP + "s";
  const minutes = Math.round(seconds / 60);
  return Math.floor(minutes / 60) + NBSP + "h" + NBSP + String(minutes % 60).padStart(2, "0") + NBSP + "min";
}

function bytes(value) {
  if (!isNumber(value)) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 999.5 && unit + 1 < units.length) { value /= 1000; ++unit; }
  return (unit === 0 ? value : value.toFixed(value < 99.95 ? 1 : 0)) + NBSP + units[unit];
}

function day(iso) {
  const [year, month, date] = iso.split("-").map(Number);
  const names = "January February March April May June July August September October November December".split(" ");
  return date + " " + names[month - 1] + " " + year;
}

// ---- Sections

const sections = [];

function section(id, title, ...children) {
  const node = el("section", {id, "aria-labelledby": id + "-title"}, el("h2", {id: id + "-title"}, title), children);
  main.append(node);
  sections.push({id, title, node});
  return node;
}

/** Draws a part of the page. Where that fails, a note stands in its place and the other parts are drawn all the same. */
function guarded(what, place, draw) {
  try {
    draw();
  } catch (error) {
    console.error(error);
    place.append(el("p", {class: "note", role: "alert"}, "Could not be drawn: " + what + " (" + error.message + ")."));
  }
}

/** An entry of a <dl class="facts">. */
function fact(label, value, detail) {
  return el("div", null, el("dt", null, label), el("dd", null, value, detail ? el("small", null, " ", detail) : null));
}

/** Links to the sections. */
function drawNav() {
  const nav = document.getElementById("nav");
  const links = new Map(sections.map(({id, title}) => [id, el("a", {href: "#" + id}, title)]));
  nav.append(...links.values());
  const mark = () => {
    let current = null;
    for (const {id, node} of sections) if (node.getBoundingClientRect().top < innerHeight / 3) current = id;
    for (const [id, link] of links) id === current ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  };
  addEventListener("scroll", mark, {passive: true});
  mark();
}

// ---- Colours follow the theme; what is painted on a canvas is painted again

const repaint = [];
const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();

function setTheme(theme) {
  root.dataset.theme = theme;
  document.getElementById("theme").textContent = theme === "dark" ? "Light" : "Dark";
  document.getElementById("theme").setAttribute("aria-label", "Switch to " + (theme === "dark" ? "light" : "dark") + " colours");
  for (const paint of repaint) paint();
}

function startTheme() {
  let chosen = null;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const fromSystem = () => system.matches ? "dark" : "light";
  setTheme(fromSystem());
  system.addEventListener("change", () => { if (!chosen) setTheme(fromSystem()); });
  document.getElementById("theme").addEventListener("click", () => setTheme(chosen = root.dataset.theme === "dark" ? "light" : "dark"));
  addEventListener("beforeprint", () => { chosen = root.dataset.theme; setTheme("light"); });
  addEventListener("afterprint", () => setTheme(chosen));
}
