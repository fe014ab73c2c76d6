// The page is drawn from two JSON blocks. Whatever stands in them comes from outside (answers, file names, recipes) and reaches the
// document as text only, by el() and textContent.
(() => {
"use strict";

const data = JSON.parse(document.getElementById("report-data").textContent);
const images = JSON.parse(document.getElementById("report-images").textContent);

const interval = (score) => score && Array.isArray(score.ci95) ? percent(score.ci95[0]) + "–" + percent(score.ci95[1]) : "";

// ---- What the page tells first

const runs = data.runs || [];
const demos = data.demos || [];
const evaluations = data.evaluations || [];
// A task that several evaluations have is named with its evaluation; the same rule names what several demos have.
for (const each of evaluations) {
  each.label = evaluations.some((other) => other !== each && other.task === each.task) ? each.name + ": " + each.task : each.task;
}
const ofDemo = (demo, name) => demos.length > 1 ? demo.name + ": " + name : name;
const SUBJECTS = [
  {key: "model", label: "model", long: "the model"},
  {key: "majority", label: "majority", long: "most frequent answer"},
  {key: "blind", label: "blind", long: "the model without the image"},
  {key: "swapped", label: "swapped", long: "the model with another sample's image"},
];

/** The scores of a subject on a task: the model's own or a baseline's. */
const scoresOf = (evaluation, key) => key === "model" ? evaluation.scores : (evaluation.baselines || {})[key];
const overall = (evaluation, key) => (scoresOf(evaluation, key) || {}).overall;
const subjectsOf = (evaluation) => SUBJECTS.filter(({key}) => overall(evaluation, key));

const lastEvent = (run, name) => run.events.filter((event) => event.event === name).pop();
const column = (run, name) => run.columns[name] || [];

function meanOfEnd(values) {
  const known = values.filter(isNumber);
  const tail = known.slice(-Math.max(1, Math.round(known.length / 20)));
  return tail.reduce((sum, value) => sum + value, 0) / tail.length;
}

function overallState() {
  for (const state of ["failed", "interrupted", "running"]) if (runs.some((run) => run.state === state)) return state;
  return runs.length && runs.every((run) => run.state === "finished") ? "finished" : "";
}

function phases() {
  const byName = new Map(runs.map((run) => [run.name, run]));
  const listed = demos.flatMap((demo) => demo.phases.map((phase) => ({...phase, name: ofDemo(demo, phase.name), run: byName.get(phase.folder)})));
  const shown = new Set(listed.map((phase) => phase.folder));
  const rest = runs.filter((run) => !shown.has(run.name)).map((run) => ({name: run.name, title: run.name, run}));
  for (const each of evaluations) {
    if (!shown.has(each.name) && isNumber(each.seconds)) rest.push({name: each.name, title: "evaluation of " + each.task, seconds: each.seconds});
  }
  return [...listed, ...rest].map((phase) => {
    const totals = phase.run ? phase.run.totals : {};
    const end = phase.run && lastEvent(phase.run, "end") || {};
    const trained = totals.seconds;
    // A demo's record knows its last launch; the steps of those before it took time as well.
    const seconds = isNumber(phase.seconds) ? Math.max(phase.seconds, trained || 0) : trained;
    const tokens = isNumber(phase.tokens) ? phase.tokens : totals.tokens;
    const wait = isNumber(phase.data_wait_s) ? phase.data_wait_s : end.data_wait_s;
    // Rates are over the time of the steps where that is known, not over loading and saving.
    const busy = trained || seconds;
    return {
      name: phase.name || phase.title, title: phase.title === phase.name ? "" : phase.title, command: phase.command, state: phase.run ? phase.run.state : "", seconds,
      steps: totals.steps, tokenRate: tokens / busy, imageRate: phase.images / busy, sampleRate: totals.samples / busy,
      memory: isNumber(phase.peak_memory_bytes) ? phase.peak_memory_bytes : end.peak_memory_bytes,
      wait: 100 * wait / (end.seconds || busy), flops: 100 * phase.flop_share,
    };
  });
}

function drawHead() {
  document.title = data.title + " · MultiMeditron report";
  const state = overallState();
  const words = {finished: "finished", failed: "failed", interrupted: "interrupted", running: "not finished when this page was made"};
  const parts = [];
  for (const demo of demos) parts.push(ofDemo(demo, "demo, seed " + demo.seed));
  if (runs.length) parts.push(plural(runs.length, "training run"));
  if (evaluations.length) parts.push(plural(evaluations.length, "evaluation"));
  parts.push(day(data.date));
  const head = el("header", {class: "head"}, el("h1", null, data.title),
    el("p", {class: "meta"}, state ? [el("span", {class: "state" + (state === "finished" ? "" : " unfinished")}, words[state]), " · "] : null, parts.join(" · ")));
  main.append(head);

  const facts = el("dl", {class: "facts"});
  if (evaluations.length) {
    const first = evaluations[0], score = first.scores.overall;
    head.append(el("div", {class: "hero"},
      el("div", {class: "figure-number"}, percent(score.accuracy), el("small", null, "%")),
      el("div", null,
        el("p", null, "of ", plural(score.n, "question"), " answered correctly",
          evaluations.length > 1 ? [" in ", first.label] : null, "."),
        el("p", null, interval(score) ? "95" + NBSP + "% interval " + interval(score).replace("–", " to ") + NBSP + "%." : "", verdict(first)))));
    for (const {key, long} of subjectsOf(first)) {
      if (key !== "model") facts.append(fact(long, percent(overall(first, key).accuracy) + NBSP + "%", interval(overall(first, key))));
    }
    for (const each of evaluations.slice(1)) facts.append(fact(each.label, percent(each.scores.overall.accuracy) + NBSP + "%", interval(each.scores.overall)));
  } else if (runs.length) {
    const run = runs.filter((each) => column(each, "loss").some(isNumber)).pop() || runs[runs.length - 1];
    const losses = column(run, "loss").filter(isNumber);
    head.append(el("div", {class: "hero"},
      el("div", {class: "figure-number"}, losses.length ? short(Number(meanOfEnd(losses).toPrecision(3))) : "–"),
      el("div", null,
        el("p", null, losses.length ? ["loss of ", run.name, " at ", run.state === "finished" ? "its end" : "step " + count(run.totals.last_step), "."]
          : [run.name, " has not taken a step yet."]),
        losses.length ? el("p", null, "The mean of the last twentieth of its steps; it began at " + short(losses[0]) + ".") : null)));
  }
  const all = phases();
  const total = all.reduce((sum, phase) => sum + (phase.seconds || 0), 0);
  if (total > 0) facts.append(fact("time in all", duration(total)));
  const memory = Math.max(...all.map((phase) => phase.memory || 0));
  if (memory > 0) facts.append(fact("peak memory", bytes(memory)));
  if (facts.childElementCount) head.append(facts);
  const open = runs.filter((run) => run.state && run.state !== "finished");
  const named = (state) => open.filter((run) => run.state === state).map((run) => run.name).join(", ");
  const notes = [["running", "still at work, or killed, when this page was made: "], ["interrupted", "stopped by a signal: "], ["failed", "ended by an error: "]]
    .filter(([state]) => named(state)).map(([state, words]) => words + named(state));
  if (notes.length) {
    const text = notes.join("; ");
    head.append(el("p", {class: "note"}, text[0].toUpperCase() + text.slice(1) + ". The same command goes on where a run stopped; then make this page again."));
  }
}

/** One sentence on whether the answers come from the images. */
function verdict(evaluation) {
  const model = overall(evaluation, "model"), blind = overall(evaluation, "blind"), swapped = overall(evaluation, "swapped");
  if (!model.ci95) return "";
  const others = [blind && "without the image", swapped && "with another sample's image"].filter(Boolean);
  if (!others.length) return "";
  // The difference on the same questions, where it was estimated, says more than two intervals side by side.
  const leads = (key, score) => {
    const lead = ((evaluation.baselines.differences || {})["model-" + key] || {}).overall;
    return lead && lead.ci95 ? lead.ci95[0] > 0 : Boolean(score.ci95) && score.ci95[1] < model.ci95[0];
  };
  return (!blind || leads("blind", blind)) && (!swapped || leads("swapped", swapped)) ? " The answers come from the image: " + others.join(" or ") + " they are clearly worse."
    : " It is not shown that the answers come from the image: " + others.join(" or ") + " they are not clearly worse.";
}

// ---- Accuracies

function mark(key) {
  if (key === "model") return svg("circle", {class: "mark model", r: 4.5});
  if (key === "majority") return svg("rect", {class: "mark majority", x: -3.8, y: -3.8, width: 7.6, height: 7.6});
  if (key === "blind") return svg("path", {class: "mark blind", d: "M0-5 4.8 3.6-4.8 3.6Z"});
  return svg("path", {class: "mark swapped", d: "M0-5.4 5.4 0 0 5.4-5.4 0Z"});
}

function gridLines(height) {
  return [0, 25, 50, 75, 100].map((x) => svg("line", {class: "grid", x1: x + "%", x2: x + "%", y1: 0, y2: height}));
}

function dotPlot(entries, name) {
  const words = entries.map(({label, score}) => label + " " + percent(score.accuracy) + " %").join(", ");
  const plot = svg("svg", {class: "plot", role: "img", "aria-label": name + ": " + words}, gridLines(52));
  entries.forEach(({key, score}, i) => {
    const y = 7 + i * (38 / Math.max(1, entries.length - 1));
    if (score.ci95) {
      plot.append(svg("line", {class: "mark " + key, x1: score.ci95[0] + "%", x2: score.ci95[1] + "%", y1: y, y2: y}));
      for (const x of score.ci95) plot.append(svg("line", {class: "mark " + key, x1: x + "%", x2: x + "%", y1: y - 3, y2: y + 3}));
    }
    plot.append(svg("svg", {x: score.accuracy + "%", y, overflow: "visible"}, mark(key)));
  });
  return plot;
}

function axis() {
  return svg("svg", {class: "axis", "aria-hidden": "true"},
    [0, 25, 50, 75, 100].map((x) => svg("text", {x: x + "%", y: 12, "text-anchor": "middle"}, x + (x === 100 ? " %" : ""))));
}

function accuracyRows(scores) {
  const rows = [{name: "all questions", total: true, of: (each) => each.overall}];
  for (const [key, name] of [["yes_no", "yes or no"], ["open", "open"]]) {
    if (scores[key] && scores[key].n > 0 && scores[key].n < scores.overall.n) rows.push({name, of: (each) => each[key]});
  }
  for (const [group, members] of Object.entries(scores.groups || {})) {
    for (const member of Object.keys(members)) rows.push({name: member, of: (each) => ((each.groups || {})[group] || {})[member]});
  }
  return rows;
}

function accuracyTable(evaluation) {
  const subjects = subjectsOf(evaluation);
  const body = accuracyRows(evaluation.scores).map((row) => {
    const entries = subjects.map(({key, label}) => ({key, label, score: row.of(scoresOf(evaluation, key))}))
      .filter(({score}) => score && isNumber(score.accuracy));
    const own = row.of(evaluation.scores);
    return el("tr", {class: row.total ? "total" : null, role: "row"},
      el("th", {scope: "row", class: "name", role: "rowheader"}, row.name),
      el("td", {class: "number count", role: "cell"}, count(own.n)),
      el("td", {class: "plot-cell", role: "cell"}, dotPlot(entries, row.name)),
      subjects.map(({key, label}) => {
        const entry = entries.find((each) => each.key === key);
        return el("td", {class: "number", "data-label": label, role: "cell"}, entry ? [percent(entry.score.accuracy), el("small", null, interval(entry.score))] : "–");
      }));
  });
  return el("table", {class: "accuracy", role: "table"},
    el("caption", {class: "unseen"}, "Accuracy in percent with 95 % intervals, ", evaluation.label),
    el("thead", {role: "rowgroup"}, el("tr", {role: "row"},
      el("th", {scope: "col", class: "name", role: "columnheader"}, "questions"),
      el("th", {scope: "col", class: "number count", role: "columnheader"}, "number"),
      el("th", {scope: "col", class: "plot-cell", role: "columnheader"}, el("span", {class: "unseen"}, "drawn"), axis()),
      subjects.map(({label}) => el("th", {scope: "col", class: "number", role: "columnheader"}, label)))),
    el("tbody", {role: "rowgroup"}, body));
}

function drawAccuracy() {
  if (!evaluations.length) return;
  const node = section("accuracy", "Accuracy",
    el("p", {class: "lead"}, "Percent of answers that are right, with 95", NBSP, "% intervals. A model that only knows which answers are common does no better than the majority; ",
      "one that looks gets worse without the image, or with the wrong one."));
  const subjects = SUBJECTS.filter(({key}) => evaluations.some((each) => overall(each, key)));
  node.append(el("ul", {class: "legend"}, subjects.map(({key, label, long}) => el("li", null,
    svg("svg", {viewBox: "-13 -7 26 14", "aria-hidden": "true"}, svg("line", {class: "mark " + key, x1: -12, x2: 12}), mark(key)),
    el("span", null, el("span", {class: key}, label), long.endsWith(label) ? null : ": " + long)))));
  for (const evaluation of evaluations) {
    if (evaluations.length > 1) node.append(el("h3", null, evaluation.label));
    node.append(accuracyTable(evaluation));
    const scorer = evaluation.scorer.replaceAll("_", " ");
    node.append(el("p", {class: "note"}, "Scored by ", scorer, evaluation.model ? [", model ", evaluation.model] : null,
      isNumber(evaluation.seconds) ? [", in ", duration(evaluation.seconds)] : null, "."));
  }
}

// ---- Samples

const isRight = (score) => score === true || (isNumber(score) && score > 0.5);

function thumbnail(place, words) {
  if (place === undefined) return el("span", {class: "no-image"}, "no image");
  if (!(place >= 0 && place < images.length)) return el("span", {class: "no-image"}, "image not found");
  return el("img", {src: images[place], alt: words, decoding: "async"});
}

const answerText = (value) => value === undefined || value === "" ? "(nothing)" : Array.isArray(value) ? value.join(" | ") : String(value);

function marked(answer, score) {
  const right = isRight(score);
  return [el("span", {class: right ? "mark-right" : "mark-wrong"}, right ? "✓" : "✗"), el("span", {class: "unseen"}, right ? " right: " : " wrong: "), " ", answerText(answer)];
}

const samples = evaluations.flatMap((evaluation) => evaluation.samples.map((sample) => ({
  ...sample, evaluation, task: evaluation.label, right: isRight(sample.score),
  needsImage: isRight(sample.score) && (sample.blind_score !== undefined || sample.swapped_score !== undefined) && !isRight(sample.blind_score) && !isRight(sample.swapped_score),
  words: [sample.question, sample.kind, answerText(sample.reference), answerText(sample.answer), sample.id].join("\n").toLowerCase(),
})));
const attentionOf = (sample) => sample.evaluation.attention.find((each) => each.id === sample.id);

function line(label, ...value) {
  return el("span", {class: "line"}, el("span", null, label), el("span", null, value));
}

function card(sample, open) {
  return el("button", {type: "button", class: "card", onclick: open},
    thumbnail(sample.image, ""),
    el("span", {class: "text"},
      el("span", {class: "tag"}, el("span", null, sample.kind || sample.task), el("span", {class: sample.right ? "mark-right" : "mark-wrong"}, sample.right ? "✓ right" : "✗ wrong")),
      el("span", {class: "question"}, sample.question),
      line("expected", answerText(sample.reference)),
      line("answer", el("strong", null, answerText(sample.answer))),
      sample.blind_answer !== undefined ? line("blind", marked(sample.blind_answer, sample.blind_score)) : null,
      sample.swapped_answer !== undefined ? line("swapped", marked(sample.swapped_answer, sample.swapped_score)) : null));
}

/** A list of cards of one size in a box that scrolls: only those in sight, and a row beyond, are in the document. */
class Board {
  constructor(open, height) {
    this.open = open;
    this.height = height;
    this.items = [];
    this.shown = new Map();
    this.inner = el("div", {class: "inner", role: "list"});
    this.node = el("div", {class: "board", tabindex: 0, role: "group", "aria-label": "Samples"}, this.inner);
    this.everything = false;
    let waiting = false;
    this.node.addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; this.draw(); });
    }, {passive: true});
    new ResizeObserver(() => this.layOut()).observe(this.node);
  }

  show(items) {
    this.items = items;
    this.node.scrollTop = 0;
    this.layOut();
  }

  layOut() {
    const scale = parseFloat(getComputedStyle(root).fontSize) / 16;
    this.gap = 10;
    this.rowHeight = this.height * scale + this.gap;
    const width = this.node.clientWidth;
    if (width === 0) return;
    this.columns = Math.max(1, Math.floor((width - this.gap) / (318 * scale + this.gap)));
    this.cardWidth = (width - this.gap * (this.columns + 1)) / this.columns;
    const rows = Math.ceil(this.items.length / this.columns);
    this.inner.style.height = rows ? rows * this.rowHeight + this.gap + "px" : "auto";
    this.inner.replaceChildren();
    this.shown.clear();
    if (!rows) this.inner.append(el("p", {class: "empty"}, "No sample is like this."));
    this.draw();
  }

  draw() {
    if (!this.columns) return;
    const first = this.everything ? 0 : Math.max(0, Math.floor(this.node.scrollTop / this.rowHeight) - 1) * this.columns;
    const rows = Math.ceil(this.node.clientHeight / this.rowHeight) + 3;
    const end = this.everything ? this.items.length : Math.min(this.items.length, first + rows * this.columns);
    for (const [i, slot] of this.shown) {
      if ((i >= first && i < end) || slot.contains(document.activeElement)) continue;
      slot.remove();
      this.shown.delete(i);
    }
    for (let i = first; i < end; ++i) {
      if (this.shown.has(i)) continue;
      const slot = el("div", {class: "slot", role: "listitem", "aria-posinset": i + 1, "aria-setsize": this.items.length}, card(this.items[i], () => this.open(i)));
      slot.style.cssText = "left:" + (this.gap + (i % this.columns) * (this.cardWidth + this.gap)) + "px;top:" + (this.gap + Math.floor(i / this.columns) * this.rowHeight) +
        "px;width:" + this.cardWidth + "px;height:" + (this.rowHeight - this.gap) + "px";
      this.shown.set(i, slot);
      // In the order of the samples, which is the order of the Tab key.
      const next = [...this.inner.children].find((each) => Number(each.getAttribute("aria-posinset")) > i + 1);
      this.inner.insertBefore(slot, next || null);
    }
  }
}

function choices(name, options, change) {
  return el("fieldset", {class: "choices"}, el("legend", {class: "unseen"}, name), options.map(([value, label], i) =>
    el("label", null, el("input", {type: "radio", name, value, checked: i === 0, onchange: () => change(value)}), label)));
}

function select(label, values, change) {
  return el("label", null, el("span", {class: "unseen"}, label),
    el("select", {onchange: (event) => change(event.target.value)}, el("option", {value: ""}, "every " + label), values.map((value) => el("option", {value}, value))));
}

function drawSamples() {
  if (!samples.length) return;
  const total = evaluations.reduce((sum, each) => sum + each.num_samples, 0);
  const filter = {outcome: "all", kind: "", task: "", words: ""};
  const hasBaselines = samples.some((sample) => sample.blind_answer !== undefined || sample.swapped_answer !== undefined);
  const status = el("p", {class: "note", role: "status", id: "sample-count"});
  let shown = samples;
  const board = new Board((i) => openDetail(shown, i), hasBaselines ? 162 : 140);
  const apply = () => {
    const words = filter.words.toLowerCase().split(/\s+/).filter(Boolean);
    shown = samples.filter((sample) => (!filter.kind || sample.kind === filter.kind) && (!filter.task || sample.task === filter.task) &&
      (filter.outcome === "all" || (filter.outcome === "wrong" && !sample.right) || (filter.outcome === "right" && sample.right) || (filter.outcome === "seen" && sample.needsImage)) &&
      words.every((word) => sample.words.includes(word)));
    const right = shown.filter((sample) => sample.right).length;
    status.textContent = count(shown.length) + " of " + plural(samples.length, "sample") + (shown.length ? ", " + count(right) + " right" : "") +
      (total > samples.length ? " (the evaluation has " + count(total) + "; the first are shown)" : "");
    board.show(shown);
  };
  const kinds = [...new Set(samples.map((sample) => sample.kind).filter(Boolean))].sort();
  const tasks = [...new Set(samples.map((sample) => sample.task))];
  const outcomes = [["all", "All"], ["wrong", "Wrong"], ["right", "Right"]];
  if (hasBaselines) outcomes.push(["seen", "Right only with the image"]);
  section("samples", "Samples",
    el("div", {class: "controls"},
      choices("outcome", outcomes, (value) => { filter.outcome = value; apply(); }),
      kinds.length > 1 ? select("kind", kinds, (value) => { filter.kind = value; apply(); }) : null,
      tasks.length > 1 ? select("task", tasks, (value) => { filter.task = value; apply(); }) : null,
      el("label", {class: "grow"}, el("span", {class: "unseen"}, "Search questions and answers"),
        el("input", {type: "search", placeholder: "Search questions and answers", oninput: (event) => { filter.words = event.target.value; apply(); }}))),
    status, board.node);
  apply();
  addEventListener("beforeprint", () => { board.everything = true; board.show(shown.slice(0, 24)); });
  addEventListener("afterprint", () => { board.everything = false; board.show(shown); });
}

// ---- One sample in full

const dialog = document.getElementById("detail");

function openDetail(list, i) {
  const sample = list[i];
  const attention = attentionOf(sample);
  const go = (step) => { if (list[i + step]) openDetail(list, i + step); };
  const swapped = sample.swapped_image !== undefined && sample.swapped_image >= 0 ? el("img", {src: images[sample.swapped_image], alt: "the other sample's image"}) : null;
  const words = "image of sample " + answerText(sample.id);
  dialog.replaceChildren(el("div", {class: "detail"},
    el("header", null, el("span", {class: "note"}, count(i + 1) + " of " + count(list.length), sample.kind ? " · " + sample.kind : "", evaluations.length > 1 ? " · " + sample.task : ""),
      el("button", {type: "button", class: "quiet", onclick: () => dialog.close()}, "Close")),
    el("div", {class: "body"},
      attention ? overlay(attention, words) : el("div", {class: "overlay"}, thumbnail(sample.image, words)),
      el("dl", null,
        el("div", null, el("dt", null, "question"), el("dd", null, el("strong", null, sample.question))),
        el("div", null, el("dt", null, "expected"), el("dd", null, answerText(sample.reference))),
        el("div", null, el("dt", null, "the model's answer"), el("dd", null, marked(sample.answer, sample.score))),
        sample.blind_answer !== undefined ? el("div", null, el("dt", null, "without the image"), el("dd", null, marked(sample.blind_answer, sample.blind_score))) : null,
        sample.swapped_answer !== undefined ? el("div", null, el("dt", null, "with this other image"),
          el("dd", {class: "swap-pair"}, swapped, el("span", null, marked(sample.swapped_answer, sample.swapped_score)))) : null)),
    el("footer", null,
      el("button", {type: "button", disabled: i === 0, onclick: () => go(-1)}, "Previous"),
      el("span", {class: "note"}, answerText(sample.id)),
      el("button", {type: "button", disabled: i + 1 >= list.length, onclick: () => go(1)}, "Next"))));
  dialog.onkeydown = (event) => {
    if (event.key === "ArrowLeft") go(-1);
    if (event.key === "ArrowRight") go(1);
  };
  // Rebuilding the dialog takes the focus away from the button that asked for it.
  if (!dialog.open) dialog.showModal();
  dialog.focus();
}
dialog.tabIndex = -1;
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

// ---- Attention

const RAMP = [[160, 60, 20], [217, 102, 26], [255, 160, 60], [255, 222, 120]];
const heat = {shown: true, opacity: 0.75};

function rampColour(t) {
  const position = Math.min(Math.max(t, 0), 1) * (RAMP.length - 1);
  const i = Math.min(Math.floor(position), RAMP.length - 2);
  return RAMP[i].map((value, c) => Math.round(value + (RAMP[i + 1][c] - value) * (position - i)));
}

function styleHeat(canvas) {
  canvas.style.opacity = heat.opacity;
  canvas.style.visibility = heat.shown ? "visible" : "hidden";
}

/** The image with its weights, one a patch, laid over the part that the model saw: `region`, or else, under a square grid, the middle. */
function overlay(sample, words) {
  const [rows, columns] = sample.grid;
  const canvas = el("canvas", {width: columns, height: rows, class: "heat", "aria-hidden": "true"});
  const context = canvas.getContext("2d"), pixels = context.createImageData(columns, rows);
  sample.weights.forEach((weight, i) => pixels.data.set([...rampColour(weight), Math.round(255 * Math.max(0, weight) ** 1.5)], 4 * i));
  context.putImageData(pixels, 0, 0);
  styleHeat(canvas);
  const picture = thumbnail(sample.image, words);
  const place = (width, height) => {
    const longest = Math.max(width, height), shortest = Math.min(width, height);
    const crop = rows === columns ? [(width - shortest) / 2 / width, (height - shortest) / 2 / height] : [0, 0];
    const [left, top, right, bottom] = sample.region || [...crop, 1 - crop[0], 1 - crop[1]];
    // From shares of the image to shares of the square that it stands in the middle of.
    const x = (share) => 50 + 100 * (share - 0.5) * width / longest + "%", y = (share) => 50 + 100 * (share - 0.5) * height / longest + "%";
    Object.assign(canvas.style, {left: x(left), top: y(top), width: 100 * (right - left) * width / longest + "%", height: 100 * (bottom - top) * height / longest + "%"});
  };
  place(1, 1);
  if (picture instanceof HTMLImageElement) picture.addEventListener("load", () => place(picture.naturalWidth, picture.naturalHeight));
  return el("div", {class: "overlay"}, picture, canvas);
}

function drawAttention() {
  const shown = evaluations.flatMap((evaluation) => evaluation.attention.map((sample) => ({...sample, task: evaluation.label})));
  if (!shown.length) return;
  const restyle = () => document.querySelectorAll("canvas.heat").forEach(styleHeat);
  section("attention", "Where it looks",
    el("p", {class: "lead"}, "Attention of the answer on the patches of the image, for a few samples; each is scaled to its own largest weight."),
    el("div", {class: "controls"},
      el("label", null, el("input", {type: "checkbox", checked: true, onchange: (event) => { heat.shown = event.target.checked; restyle(); }}), "attention"),
      el("label", null, "strength", el("input", {type: "range", min: 0, max: 1, step: 0.05, value: heat.opacity, oninput: (event) => { heat.opacity = Number(event.target.value); restyle(); }})),
      el("span", {class: "note"}, "none ", el("span", {class: "ramp", "aria-hidden": "true"}), " most")),
    el("div", {class: "attention"}, shown.map((sample) => {
      const right = String(sample.answer).trim().toLowerCase() === String(sample.reference).trim().toLowerCase();
      const share = isNumber(sample.image_share) ? (sample.image_share <= 1 ? 100 * sample.image_share : sample.image_share) : null;
      return el("figure", null, overlay(sample, "image of sample " + answerText(sample.id)),
        el("figcaption", null, el("span", {class: "question"}, sample.question), marked(sample.answer, right),
          right ? null : el("span", {class: "note"}, " expected ", answerText(sample.reference)),
          el("span", {class: "note"}, el("br"), sample.token ? ["at “", String(sample.token).trim(), "”"] : null, share !== null ? [sample.token ? ", " : "", percent(share), NBSP, "% on the image"] : null,
            evaluations.length > 1 ? [el("br"), sample.task] : null)));
    })));
}

// ---- Curves

const KNOWN = {loss: "loss", learning_rate: "learning rate", grad_norm: "gradient norm"};
const curves = {smoothing: 40, log: false, extra: new Set()};

/** A mean over neighbours on both sides, weighted by a Gaussian of `sigma` points: it does not lag behind as a running mean does. */
function smooth(values, sigma) {
  const reach = Math.ceil(2.5 * sigma);
  const weights = Array.from({length: reach + 1}, (_, k) => sigma > 0 ? Math.exp(-0.5 * (k / sigma) ** 2) : 1);
  return values.map((middle, i) => {
    if (!isNumber(middle)) return null;
    let sum = 0, weight = 0;
    for (let k = -reach; k <= reach; ++k) {
      if (!isNumber(values[i + k])) continue;
      sum += weights[Math.abs(k)] * values[i + k];
      weight += weights[Math.abs(k)];
    }
    return sum / weight;
  });
}

function chart(holder, run, name, height) {
  const steps = column(run, "step");
  // A logarithm has no place for zero and below.
  const values = column(run, name).map((value) => isNumber(value) && !(curves.log && value <= 0) ? value : null);
  const isSmoothed = name !== "learning_rate" && steps.length > 20;
  const sigma = (curves.smoothing / 100) ** 2 * steps.length / 10;
  const font = "12px " + getComputedStyle(document.body).fontFamily;
  const axisStyle = {stroke: colour("muted"), font, grid: {stroke: colour("line"), width: 1}, ticks: {stroke: colour("line"), width: 1, size: 5}};
  const read = (_, value) => value === null || value === undefined ? "–" : short(value);
  const series = [{label: "step", value: (_, value) => value === null || value === undefined ? "–" : count(value)},
    {label: KNOWN[name] || name, stroke: colour(isSmoothed ? "raw" : "model"), width: isSmoothed ? 1 : 1.75, points: {show: steps.length === 1}, value: read}];
  const columns = [steps, values];
  if (isSmoothed) {
    series.push({label: "smoothed", stroke: colour("model"), width: 2, points: {show: false}, value: read});
    columns.push(smooth(values, sigma));
  }
  const plot = new uPlot({
    width: Math.max(holder.clientWidth, 240), height, series,
    scales: {x: {time: false}, y: {distr: curves.log ? 3 : 1}},
    axes: [{...axisStyle, size: 32}, {...axisStyle, size: 58, values: (_, splits) => splits.map((value) => value === null ? "" : short(value))}],
    cursor: {drag: {x: true, y: false}, sync: {key: run.name, setSeries: false}},
    legend: {live: true},
  }, columns, holder);
  plot.root.setAttribute("role", "img");
  plot.root.setAttribute("aria-label", (KNOWN[name] || name) + " of " + run.name + ": from " + short(values.find(isNumber)) + " to " + short(values.filter(isNumber).pop()) + " over " + plural(run.totals.steps, "step"));
  return plot;
}

function panel(run) {
  const losses = column(run, "loss").filter(isNumber);
  const holder = el("div", null);
  let plots = [];
  const node = el("div", {class: "chart"},
    el("header", null, el("h3", null, run.name),
      el("span", null, [run.mode, plural(run.totals.steps, "step"), run.state, losses.length ? "loss " + short(losses[0]) + " → " + short(meanOfEnd(losses)) : ""].filter(Boolean).join(" · "))),
    holder);
  if (!losses.length) {
    holder.append(el("p", {class: "note"}, "No step has been taken yet."));
    return node;
  }
  const paint = () => guarded("the curves of " + run.name, holder, () => {
    plots.forEach((plot) => plot.destroy());
    holder.replaceChildren();
    plots = ["loss", ...curves.extra].filter((name) => column(run, name).some(isNumber)).map((name) => chart(holder, run, name, name === "loss" ? 240 : 150));
  });
  repaint.push(paint);
  let width = 0;
  new ResizeObserver(() => {
    if (holder.clientWidth === width) return;
    width = holder.clientWidth;
    if (!plots.length) paint();
    else plots.forEach((plot) => plot.setSize({width: Math.max(width, 240), height: plot.height}));
  }).observe(holder);
  if (run.steps_per_point > 1) node.append(el("p", {class: "note"}, "Each point is the mean of " + count(run.steps_per_point) + " steps."));
  return node;
}

function drawCurves() {
  if (!runs.length) return;
  const paintAll = () => { for (const paint of repaint) paint(); };
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.columns)))].filter((name) => !["step", "epoch", "loss"].includes(name));
  section("training", "Training",
    el("div", {class: "controls"},
      el("label", null, "smoothing", el("input", {type: "range", min: 0, max: 100, value: curves.smoothing, oninput: (event) => { curves.smoothing = Number(event.target.value); paintAll(); }})),
      el("label", null, el("input", {type: "checkbox", onchange: (event) => { curves.log = event.target.checked; paintAll(); }}), "log scale"),
      names.map((name) => el("label", null, el("input", {type: "checkbox", onchange: (event) => {
        event.target.checked ? curves.extra.add(name) : curves.extra.delete(name);
        paintAll();
      }}), KNOWN[name] || name)),
      el("span", {class: "note"}, "Drag over a curve to enlarge it, double-click to go back.")),
    el("div", {class: "charts"}, runs.map(panel)), drawEvents());
}

/** What runs have noted beside their steps, such as the results of an evaluation during training. */
function drawEvents() {
  const rows = runs.flatMap((run) => run.events.filter((event) => !["start", "end"].includes(event.event)).map((event) => ({run, event})));
  if (!rows.length) return null;
  const words = (event) => Object.entries(event).filter(([key]) => key !== "event" && key !== "step")
    .map(([key, value]) => key.replaceAll("_", " ") + " " + (isNumber(value) ? short(value) : value)).join(", ");
  return el("details", null, el("summary", null, "Events", el("small", null, count(rows.length))),
    el("div", {class: "scroll"}, el("table", null,
      el("thead", null, el("tr", null, ["run", "step", "event", ""].map((name, i) => el("th", {scope: "col", class: i === 1 ? "number" : null}, name)))),
      el("tbody", null, rows.map(({run, event}) => el("tr", null, el("td", null, run.name), el("td", {class: "number"}, isNumber(event.step) ? count(event.step) : ""),
        el("td", null, event.event), el("td", null, words(event))))))));
}

// ---- Classifiers: gates, and experts by the names of classes

/** A row a class, a column for each class that its images were taken for. */
function confusionTable(classes, draw, {confusion, accuracy, images: total, per_class: rows}) {
  return el("div", {class: "scroll"}, el("table", {class: "confusion"},
    el("caption", null, draw + ": " + percent(100 * accuracy) + " % of " + plural(total, "image") + " right"),
    el("thead", null, el("tr", null, el("th", {scope: "col"}, "is \\ taken for"), classes.map((name) => el("th", {scope: "col", class: "number"}, name)),
      el("th", {scope: "col", class: "number"}, "right"))),
    el("tbody", null, classes.map((name, i) => el("tr", null, el("th", {scope: "row"}, name),
      classes.map((_, j) => el("td", {class: i === j ? "number right" : "number"}, confusion[i][j] === 0 ? "·" : count(confusion[i][j]))),
      el("td", {class: "number"}, isNumber(rows[i].accuracy) ? percent(100 * rows[i].accuracy) + " %" : "–"))))));
}

function drawGates() {
  const gates = runs.filter((run) => run.gate && Array.isArray(run.gate.classes));
  if (!gates.length) return;
  const node = section("gates", "Gate");
  for (const run of gates) {
    guarded("the gate of " + run.name, node, () => {
      node.append(el("h3", null, run.name, el("small", null, " the gate of epoch " + count(run.gate.epoch))),
        ...["validation", "test"].filter((draw) => run.gate[draw]).map((draw) => confusionTable(run.gate.classes, draw, run.gate[draw])));
    });
  }
}

/** How well each CLIP knows images by words: a row a run of train-expert, below it which classes it takes for which. */
function drawExperts() {
  const experts = runs.map((run) => ({run, found: run.zero_shot, pairs: run.events.findLast((event) => event.event === "retrieval")}))
    .filter(({found, pairs}) => Array.isArray(found.classes) || pairs);
  if (!experts.length) return;
  const share = (value) => el("td", {class: "number"}, isNumber(value) ? percent(100 * value) + " %" : "–");
  const node = section("experts", "Experts");
  guarded("the experts", node, () => {
    node.append(el("div", {class: "scroll"}, el("table", null,
      el("thead", null, el("tr", null, ["run", "zero-shot", "by chance", "classes", "caption found", "among five", "image found", "among five"]
        .map((name, i) => el("th", {scope: "col", class: i ? "number" : null}, name)))),
      el("tbody", null, experts.map(({run, found, pairs}) => el("tr", null, el("th", {scope: "row"}, run.name), share(found.accuracy),
        share(found.classes ? 1 / found.classes.length : null), el("td", {class: "number"}, found.classes ? count(found.classes.length) : "–"),
        ["image_to_text_r1", "image_to_text_r5", "text_to_image_r1", "text_to_image_r5"].map((key) => share(pairs ? pairs[key] : null))))))),
      el("p", {class: "note"}, "Zero-shot: images taken for the class whose text is the most similar. Found: of the pairs held out, the right caption of an image, and the right image of a caption."),
      ...experts.filter(({found}) => found.classes).map(({run, found}) => el("details", null,
        el("summary", null, run.name, el("small", null, found.templates.join(" | "))), confusionTable(found.classes, "zero-shot", found))));
  });
}

// ---- Phases

function drawPhases() {
  const all = phases();
  if (!all.length) return;
  const total = all.reduce((sum, phase) => sum + (phase.seconds || 0), 0);
  const columns = [
    ["time", (phase) => duration(phase.seconds), (phase) => phase.seconds],
    ["steps", (phase) => count(phase.steps), (phase) => phase.steps],
    ["tokens/s", (phase) => count(phase.tokenRate), (phase) => phase.tokenRate],
    ["images/s", (phase) => short(Number(phase.imageRate.toPrecision(3))), (phase) => phase.imageRate],
    ["samples/s", (phase) => short(Number(phase.sampleRate.toPrecision(3))), (phase) => phase.sampleRate],
    ["peak memory", (phase) => bytes(phase.memory), (phase) => phase.memory],
    ["waiting for data", (phase) => percent(phase.wait) + NBSP + "%", (phase) => phase.wait],
    ["of the best matrix-product rate", (phase) => percent(phase.flops) + NBSP + "%", (phase) => phase.flops],
  ].filter(([, , value]) => all.some((phase) => isNumber(value(phase))));
  section("phases", "Time and memory",
    all.length > 1 && total > 0 ? [
      el("div", {class: "time-bar", "aria-hidden": "true"}, all.filter((phase) => phase.seconds > 0).map((phase) => {
        const span = el("span", {title: phase.name + ": " + duration(phase.seconds)});
        span.style.flex = phase.seconds + " 1 0";
        return span;
      })),
      el("p", {class: "note"}, duration(total) + " in all; the bar is divided as the time was, in the order of the table."),
    ] : null,
    el("div", {class: "scroll"}, el("table", null,
      el("thead", null, el("tr", null, el("th", {scope: "col"}, "phase"), columns.map(([name]) => el("th", {scope: "col", class: "number"}, name)))),
      el("tbody", null, all.map((phase) => el("tr", null,
        el("th", {scope: "row"}, phase.name, phase.state && phase.state !== "finished" ? el("span", {class: "mark-wrong"}, " " + phase.state) : null,
          phase.title ? el("span", {class: "title"}, phase.title) : null,
          phase.command ? el("code", {class: "command"}, phase.command) : null),
        columns.map(([, text, value]) => el("td", {class: "number"}, isNumber(value(phase)) ? text(phase) : "–"))))))));
}

// ---- Data and recipes

function drawData() {
  const shown = demos.filter((demo) => demo.contact_sheet);
  if (!shown.length) return;
  section("data", "Data",
    el("p", {class: "lead"}, "Some of the images that the model was trained on and asked about."),
    shown.map((demo) => el("figure", {class: "sheet"}, el("img", {src: demo.contact_sheet, alt: "A sheet of small images, several of each kind in the data set"}),
      demos.length > 1 ? el("figcaption", null, demo.name) : null)));
}

async function copy(text, button, source) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function drawRecipes() {
  const recipes = [...demos.flatMap((demo) => demo.recipes.map((each) => ({...each, name: ofDemo(demo, each.name)}))), ...runs.filter((run) => run.recipe).map((run) => ({name: run.name, detail: "in full, with every default", recipe: run.recipe}))];
  if (!recipes.length) return;
  section("recipes", "Recipes", recipes.map(({name, detail, recipe}) => {
    const pre = el("pre", {tabindex: 0}, recipe);
    return el("details", null, el("summary", null, name, detail ? el("small", null, detail) : null),
      el("div", {class: "recipe"}, pre, el("button", {type: "button", "aria-live": "polite", onclick: (event) => copy(recipe, event.currentTarget, pre)}, "Copy")));
  }));
}

// ---- The whole

main.replaceChildren();
for (const [what, draw] of Object.entries({"the head": drawHead, "accuracy": drawAccuracy, "samples": drawSamples, "attention": drawAttention,
  "experts": drawExperts, "gates": drawGates, "training": drawCurves, "time and memory": drawPhases, "data": drawData, "recipes": drawRecipes})) guarded(what, main, draw);
main.append(el("footer", {class: "last"}, "Made by ", el("code", null, "multimeditron report"), " on " + day(data.date),
  ". One file, which needs no network. Research software: what its models say is no diagnosis. Charts: uPlot (MIT)."));
drawNav();
startTheme();
})();
