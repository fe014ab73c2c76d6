// The page of `check`, drawn from two JSON blocks: what --json prints, and pictures. What stands in them reaches the document as text only.
(() => {
"use strict";

const data = JSON.parse(document.getElementById("check-data").textContent);
const images = JSON.parse(document.getElementById("check-images").textContent);

// ---- What was checked

const sets = data.data_sets || [];
const recipes = data.recipes || [];
const duplicates = data.duplicates || {};
const contamination = data.contamination;
const share = (part, whole) => whole > 0 ? part / whole : 0;
const ofWhole = (part, whole) => percent(100 * share(part, whole)) + NBSP + "%";
const several = sets.length > 1;

const sum = (values) => values.reduce((total, value) => total + (value || 0), 0);
const bad = sum(sets.map((set) => set.bad_rows));
const clean = !contamination || contamination.images.length + contamination.texts.length === 0;

function drawHead() {
  document.title = data.title + " · MultiMeditron data check";
  const words = data.ok ? (bad || !clean ? "usable, with remarks" : "no complaint") : "something must be mended";
  const examined = sum(sets.map((set) => set.examined)), rows = sum(sets.map((set) => set.rows));
  main.append(el("header", {class: "head"}, el("h1", null, data.title),
    el("p", {class: "meta"}, el("span", {class: "state" + (data.ok ? "" : " unfinished")}, words), " · ",
      data.complete === false ? "stopped before the end · " : "", [recipes.length ? plural(recipes.length, "recipe") : "", plural(sets.length, "data set"), day(data.date)].filter(Boolean).join(" · ")),
    el("dl", {class: "facts"},
      fact("rows looked at", count(examined), examined < rows ? "of " + count(rows) : ""),
      fact("bad rows", count(bad), ofWhole(bad, examined)),
      sets.some((set) => set.tokens) ? fact("tokens", count(sum(sets.map((set) => set.tokens)))) : null,
      fact("different images", count(sum(sets.map((set) => set.images.different)))),
      duplicates.rows !== undefined ? fact("rows that repeat others", count(duplicates.rows)) : null,
      contamination ? fact("test images in training", count(contamination.exact_images + contamination.near_images), "of " + count(contamination.test_images)) : null,
      fact("time", duration(data.seconds)))));
}

function table(caption, columns, rows) {
  return el("div", {class: "scroll"}, el("table", null, caption ? el("caption", {class: "unseen"}, caption) : null,
    el("thead", null, el("tr", null, columns.map((column) => el("th", {scope: "col", class: column.number ? "number" : null}, column.name)))),
    el("tbody", null, rows.map((row) => el("tr", null, row.map((cell, i) => el(i ? "td" : "th", {scope: i ? null : "row", class: columns[i].number ? "number" : null}, cell)))))));
}
const text = (name) => ({name}), number = (name) => ({name, number: true});

function drawMistakes() {
  const all = data.errors || [];
  if (!all.length) return;
  section("mistakes", "Mistakes", all.map((error) => el("div", {class: "mistake"}, el("h3", null, error.message),
    el("p", {class: "note"}, error.where ? [error.where, el("br")] : null, error.found ? ["found: ", error.found, el("br")] : null, error.fix ? ["to mend: ", error.fix] : null))));
}

/** Places of a finding, with the samples themselves where they were asked for. */
function places(finding) {
  const rest = finding.rows - finding.first.length;
  return el("details", null, el("summary", null, count(finding.first.length), " of ", count(finding.rows), el("small", null, finding.fix)),
    table("", [text("row"), text("")], finding.first.map((each) => [each.place, el("div", null, each.detail, sample(each.sample))])),
    rest > 0 ? el("p", {class: "note"}, "and " + count(rest) + " more") : null);
}

function sample(shown) {
  if (!shown) return null;
  return el("div", {class: "sample"}, (shown.images || []).map((image) => picture(image, "")),
    (shown.turns || []).map((turn) => el("p", {class: "note"}, el("b", null, turn.role), " ", turn.content)));
}

function picture(index, caption) {
  if (index === null || index === undefined) return null;
  return el("figure", {class: "thumb"}, index < 0 ? el("span", {class: "no-image"}, "cannot be shown") : el("img", {src: images[index], alt: caption || "an image of the row", loading: "lazy"}), caption ? el("figcaption", null, caption) : null);
}

function drawFindings() {
  const rows = sets.flatMap((set) => set.findings.map((finding) => ({set, finding})));
  const node = section("rows", "Rows", el("p", {class: "lead"}, bad ? "Training leaves bad rows out, and stops where they are too many." : "Training can use every row that was looked at."));
  if (!rows.length) return;
  for (const kind of [true, false]) {
    const those = rows.filter(({finding}) => finding.bad === kind);
    if (!those.length) continue;
    add(node, [el("h3", null, kind ? "Bad: left out by training" : "Doubtful: taken as they are"),
      those.map(({set, finding}) => el("div", {class: "finding"},
        el("p", null, el("b", {class: kind ? "mark-wrong" : null}, count(finding.rows)), " ", finding.rows === 1 ? "row " : "rows ", finding.title,
          several ? el("small", {class: "note"}, " " + set.name) : null), places(finding)))]);
  }
}

/** Bars of a histogram, labelled at their edges by some of the numbers. */
function histogram(label, bins, unit) {
  const most = Math.max(...bins.map((bin) => bin.count), 1), total = sum(bins.map((bin) => bin.count));
  const range = (bin) => bin.to === null ? count(bin.from) + " or more" : bin.to === bin.from + 1 ? count(bin.from) : count(bin.from) + " to " + count(bin.to - 1);
  const step = Math.max(1, Math.ceil(bins.length / 6));
  const figure = el("figure", {class: "histogram"},
    svg("svg", {viewBox: "0 0 " + bins.length + " 100", preserveAspectRatio: "none", role: "img", "aria-label": label + ": " + bins.filter((bin) => bin.count).map((bin) => range(bin) + " " + unit + ": " + count(bin.count)).join("; ")},
      bins.map((bin, i) => svg("g", null, svg("title", null, range(bin) + " " + unit + ": " + count(bin.count) + " (" + ofWhole(bin.count, total) + ")"),
        svg("rect", {class: "hit", x: i, y: 0, width: 1, height: 100}),
        svg("rect", {class: "column", x: i + 0.06, width: 0.88, y: 100 - 100 * bin.count / most, height: Math.max(100 * bin.count / most, bin.count ? 1 : 0)})))),
    el("div", {class: "ticks", "aria-hidden": "true"}, bins.map((bin, i) => el("span", null, i % step === 0 ? short(bin.from) : ""))),
    el("figcaption", null, label));
  figure.style.maxWidth = Math.max(12, 3 * bins.length) + "rem";  // a single bar is no wall
  return figure;
}

function shares(caption, entries) {
  const all = Object.entries(entries || {}).filter(([, value]) => value > 0);
  const total = sum(all.map(([, value]) => value)), most = Math.max(...all.map(([, value]) => value), 1);
  if (!all.length) return null;
  return el("div", null, el("h4", null, caption), table(caption, [text(""), number(""), text("")], all.map(([name, value]) => {
    const bar = el("span", {class: "share"});
    bar.style.width = 8 * value / most + "rem";
    return [name, count(value), el("span", null, bar, ofWhole(value, total))];
  })));
}

const ordered = (entries) => Object.fromEntries(Object.entries(entries || {}).sort((a, b) => b[1] - a[1]));

function drawLengths() {
  const shown = sets.filter((set) => set.lengths && set.lengths.count);
  if (!shown.length) return;
  section("lengths", "Lengths", el("div", {class: "charts"}, shown.map((set) => {
    const lengths = set.lengths, unit = lengths.unit, cut = set.truncation, packs = set.packing;
    return el("div", {class: "chart"}, el("header", null, el("h3", null, set.name),
      el("span", null, count(lengths.median), " ", unit, " in the middle, ", count(lengths.p95), " at 95 %, ", count(lengths.max), " at most")),
      histogram("Rows by their length in " + unit, lengths.histogram, unit),
      isNumber(set.tokens) ? el("p", {class: "note"}, count(set.tokens), " tokens, of which ", count(set.learnt_tokens), " are learnt (", ofWhole(set.learnt_tokens, set.tokens), ").",
        cut && isNumber(cut.max_sequence_length) ? " Truncation at " + count(cut.max_sequence_length) + " cuts " + plural(cut.rows, "row") + ": " + plural(cut.tokens, "token") + ", " + plural(cut.turns, "turn") + ", " + plural(cut.images, "image") + "." : "",
        packs ? " Packs of " + count(packs.max_length) + ": " + count(packs.packs) + ", " + ofWhole(packs.efficiency, 1) + " full." : "")
        : el("p", {class: "note"}, "Without a tokenizer lengths are characters."));
  })));
}

function drawConversations() {
  section("conversations", "Conversations", sets.map((set) => el("div", null, several ? el("h3", null, set.name) : el("h3", {class: "unseen"}, set.name),
    el("div", {class: "columns"}, shares("Roles of the turns", ordered(set.roles)), shares("Turns a row", set.turns), shares("Usable images a row", set.images_a_row), shares("Languages, guessed", ordered(set.languages))))));
}

function drawImages() {
  const shown = sets.filter((set) => set.images.different > 0);
  if (!shown.length) return;
  section("images", "Images", shown.map((set) => {
    const totals = set.images, sizes = Object.entries(totals.sizes);
    const bins = totals.shorter_side.histogram;
    return el("div", null, several ? el("h3", null, set.name) : el("h3", {class: "unseen"}, set.name),
      el("p", null, plural(totals.different, "different image"), " (", bytes(totals.bytes), ") shown ", count(totals.uses), " times.",
        totals.sixteen_bit_grey ? " " + plural(totals.sixteen_bit_grey, "image") + " of 16-bit grey: the high byte is used." : ""),
      el("div", {class: "columns"}, histogram("Images by their shorter side in pixels", bins, "pixels"),
        shares("Formats", ordered(totals.formats)), shares("Longer to shorter side", totals.aspect_ratios),
        sizes.length ? shares("Commonest sizes", totals.sizes) : null));
  }));
}

function drawDuplicates() {
  if (duplicates.rows === undefined) return;
  const node = section("duplicates", "Duplicates", el("p", {class: "lead"}, duplicates.rows ? plural(duplicates.rows, "row") + " repeat an earlier one, text and images; " + plural(duplicates.repeated_rows, "row") + " are repeated."
    : "No row repeats another.", duplicates.shown_images ? " " + plural(duplicates.shown_images, "image") + " stand in several rows." : ""));
  const groups = (title, list) => list && list.length ? node.append(el("details", null, el("summary", null, title, el("small", null, count(list.length) + " listed")),
    list.map((group) => el("div", {class: "pair"}, picture(group.image, ""), el("p", {class: "note"}, count(group.count), " times: ", group.first.map((each, i) => [i ? ", " : "", each.place]), group.count > group.first.length ? ", …" : "", sample(group.sample)))))) : null;
  groups("Repeated rows", duplicates.largest);
  groups("Images shown most often", duplicates.most_shown);
}

function drawContamination() {
  if (!contamination) return;
  const found = contamination;
  const node = section("contamination", "Test data in training", el("p", {class: "lead"}, clean ? "No test image and no test text was found in the training data."
    : ["Of ", plural(found.test_rows, "test row"), ", ", count(found.rows_by_image), " show an image of the training data, ", count(found.rows_by_text), " share their text with a training row, ",
      count(found.rows_by_both), " both with the same row."]),
    el("p", {class: "note"}, "Images: the same bytes, or perceptual hashes (64 bits of a cosine transform) at most 7 bits apart and a correlation of at least 0.99. Texts: half of a test row's runs of eight words occur in one training row; ",
      count(found.comparable_texts), " of the test's texts have such runs."));
  const beside = (pair, shown) => shown && pair.test_image !== undefined ? {turns: shown.turns} : shown;  // the picture stands there already
  if (found.images.length) {
    node.append(el("h3", null, "Images", el("small", null, " " + count(found.exact_images) + " the same, " + count(found.near_images) + " nearly")),
      el("div", {class: "pairs"}, found.images.map((pair) => el("figure", {class: "pair"},
        pair.test_image !== undefined ? el("div", {class: "two"}, picture(pair.test_image, "test"), picture(pair.train_image, "training")) : null,
        el("figcaption", null, pair.exact ? "the same file" : pair.distance + " bits apart, correlation " + pair.correlation.toFixed(3), el("br"), el("span", {class: "note"}, pair.test.place, " · ", pair.train.place), sample(beside(pair, pair.test_sample)), sample(beside(pair, pair.train_sample)))))));
  }
  if (found.texts.length) {
    node.append(el("h3", null, "Texts"), table("", [text("test row"), text("training row"), number("shared"), text("")],
      found.texts.map((pair) => [el("div", null, pair.test.place, sample(pair.test_sample)), el("div", null, pair.train.place, sample(pair.train_sample)), ofWhole(pair.share, 1), pair.same_image ? "the same image" : ""])));
  }
  const listed = found.images.length < found.exact_images + found.near_images || found.texts.length < found.rows_by_text;
  if (listed) node.append(el("p", {class: "note"}, "Only the first are listed."));
}

function drawColumns() {
  const shown = sets.filter((set) => set.columns && set.columns.length);
  if (!shown.length && !recipes.length) return;
  section("schema", "Columns", shown.map((set) => el("details", null, el("summary", null, set.name, el("small", null, plural(set.columns.length, "column"))),
    table("", [text("column"), text("type"), text("")], set.columns.map((column) => [column.name, column.type, column.used ? "used" : "not used"])))));
}

main.replaceChildren();
for (const [what, draw] of Object.entries({"the head": drawHead, "mistakes": drawMistakes, "rows": drawFindings, "contamination": drawContamination, "lengths": drawLengths,
  "conversations": drawConversations, "images": drawImages, "duplicates": drawDuplicates, "columns": drawColumns})) guarded(what, main, draw);
main.append(el("footer", {class: "last"}, "Made by ", el("code", null, "multimeditron check"), " on " + day(data.date), ". One file, which needs no network. It may show patients' data: keep it where the data may be."));
drawNav();
startTheme();
})();
