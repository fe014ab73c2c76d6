// Samples with their tokens, drawn from a JSON block when they come near the window: a page may hold a million tokens.
(() => {
"use strict";

const data = JSON.parse(document.getElementById("samples-data").textContent);
const status = document.getElementById("token");

const share = (part, whole) => whole > 0 ? " (" + Math.round(100 * part / whole) + NBSP + "%)" : "";
const good = data.samples.filter((sample) => !sample.error);
const sum = (key) => good.reduce((total, sample) => total + sample[key], 0);

// ---- Tokens

const isLearnt = (kind) => kind === "L" || kind === "S";
const isSpecial = (kind) => kind === "s" || kind === "S";

/** What a token looks like: its text, with a sign for a trained line break and for one for what has no text of its own (part of a character). */
function faceOf(text, kind) {
  if (text === "") return el("i", {class: "sign"}, "·");
  if (!isLearnt(kind) || !text.includes("\n")) return text;
  return text.split("\n").flatMap((line, i) => i === 0 ? [line] : [el("i", {class: "sign"}, "⏎"), "\n", line]);
}

function describe(sample, i) {
  const kind = sample.kinds[i];
  if (kind === "A") return sample.texts[i] + ", token " + sample.ids[i] + ", never trained";
  const text = sample.texts[i] === "" ? "no text of its own" : JSON.stringify(sample.texts[i]);
  return "token " + sample.ids[i] + "  " + text + "  " + (isSpecial(kind) ? "control token, " : "") + (isLearnt(kind) ? "trained" : "not trained");
}

function drawTokens(sample, place) {
  const spans = sample.ids.map((id, i) => {
    const kind = sample.kinds[i];
    if (kind === "A") return el("span", {class: "attachment", "data-i": i}, sample.texts[i]);
    const names = [isLearnt(kind) && "learnt", isSpecial(kind) && "special"].filter(Boolean).join(" ");
    return el("span", {class: names || null, "data-i": i}, faceOf(sample.texts[i], kind));
  });
  place.replaceChildren(...spans);
}

let chosen = null;
function choose(node, sample) {
  if (chosen) chosen.classList.remove("chosen");
  chosen = node;
  status.hidden = !node;
  if (!node) return;
  node.classList.add("chosen");
  status.textContent = describe(sample, Number(node.dataset.i));
}

function watch(place, sample) {
  const token = (event) => event.target.closest(".tokens > span");
  place.addEventListener("mouseover", (event) => { if (token(event)) choose(token(event), sample); });
  place.addEventListener("mouseleave", () => choose(null));
  place.addEventListener("click", (event) => { if (token(event)) choose(token(event), sample); });
}

// ---- Samples

function factsOf(sample) {
  const parts = [plural(sample.tokens, "token"), count(sample.trained) + " trained" + share(sample.trained, sample.tokens)];
  if (sample.images.length) parts.push(plural(sample.images.length, "image"));
  if (sample.dropped_turns) parts.push(plural(sample.dropped_turns, "turn") + " cut off");
  if (sample.dropped_images) parts.push(plural(sample.dropped_images, "image") + " cut off");
  if (isNumber(sample.loss)) parts.push("loss " + sample.loss.toPrecision(5));
  return parts.join(" · ");
}

function figure(image, i) {
  const pictures = [image.file && el("img", {src: image.file, alt: "Image " + (i + 1) + " as decoded", loading: "lazy"}),
    image.seen && el("img", {src: image.seen, alt: "Image " + (i + 1) + " as the encoder sees it", loading: "lazy"})].filter(Boolean);
  return el("figure", null, el("div", {class: pictures.length > 1 ? "pair" : null}, pictures), el("figcaption", null, image.caption));
}

function drawSample(sample, number) {
  const title = el("h2", null, sample.title);
  if (sample.error) {
    main.append(el("section", {class: "sample", id: "sample-" + number}, title, el("p", {class: "unusable"}, "Cannot be used: " + sample.error)));
    return;
  }
  const tokens = el("div", {class: "tokens", lang: ""});
  // Until it is drawn: about as high as it will be.
  tokens.style.minHeight = Math.min(60, 2 + sample.ids.length / 14) * 1.75 + "rem";
  const pictures = sample.images.length ? el("div", {class: "pictures"}, sample.images.map(figure)) : null;
  const node = el("section", {class: "sample", id: "sample-" + number}, title, el("p", {class: "meta"}, factsOf(sample)),
    el("div", {class: pictures ? "parts" : "parts plain"}, pictures, tokens));
  main.append(node);
  watch(tokens, sample);
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    drawTokens(sample, tokens);
    tokens.style.minHeight = "";
  }, {rootMargin: "1200px"});
  observer.observe(tokens);
  addEventListener("beforeprint", () => { if (!tokens.childElementCount) drawTokens(sample, tokens); });
}

function drawHead() {
  const fact = (name, value, note) => el("div", null, el("dt", null, name), el("dd", null, value, note ? el("small", null, note) : null));
  const unusable = data.samples.length - good.length;
  main.append(el("header", {class: "head"}, el("h1", null, data.title), el("p", {class: "meta"}, data.subtitle),
    el("dl", {class: "facts"}, fact("samples", count(data.samples.length), data.left_out ? " of " + count(data.samples.length + data.left_out) : ""),
      unusable ? fact("unusable", count(unusable)) : null, fact("tokens", count(sum("tokens"))),
      fact("trained", count(sum("trained")), share(sum("trained"), sum("tokens")))),
    el("ul", {class: "legend"}, el("li", null, el("span", {class: "tokens-legend learnt"}, "trained")), el("li", null, el("span", {class: "tokens-legend"}, "not trained")),
      el("li", null, el("span", {class: "special"}, "<control token>")), el("li", null, el("span", {class: "attachment"}, "image")),
      el("li", null, el("span", {class: "sign"}, "⏎"), "trained line break")),
    el("div", {class: "controls"}, el("label", null, el("input", {type: "checkbox", id: "boxes", onchange: (event) => {
      for (const place of document.querySelectorAll(".tokens")) place.classList.toggle("boxes", event.currentTarget.checked);
    }}), "a box around each token"))));
}

function drawNav() {
  const links = data.samples.slice(0, 200).map((sample, i) => el("a", {href: "#sample-" + (i + 1)}, sample.short || String(i + 1)));
  document.getElementById("nav").append(...links);
}

main.replaceChildren();
drawHead();
data.samples.forEach((sample, i) => drawSample(sample, i + 1));
main.append(el("footer", {class: "last"}, "Made by ", el("code", null, "multimeditron inspect --html"), ". One file, which needs no network; it holds the samples' texts and images."));
drawNav();
startTheme();
})();
