// What the pages that the program writes have in common: making elements, numbers as people read them, the theme. Whatever comes from
// outside reaches a document as text only, by el() and textContent.
"use strict";

const root = document.documentElement;

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
