"use strict";
// A window at a time: looked at, corrected by keys or mouse, saved as a file. No HTML is made from data.

const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const decisions = new Map(); // window id -> { action, start, stop, label }
const NUM_LANES = 4;
let unsaved = false;

const FILTERS = {
  "all": () => true,
  "not decided": (one) => !decisions.has(one.id),
  "decided": (one) => decisions.has(one.id),
  "contradicted": (one) => one.score > 0,
};
let shown = data.windows;
let at = 0;

function element(tag, text = "") {
  const made = document.createElement(tag);
  if (text !== "") made.textContent = text;
  return made;
}

const current = () => shown[at];
const labelOf = (one) => {
  const made = decisions.get(one.id);
  return made && made.action === "change" ? made : { start: one.span[0], stop: one.span[1], label: one.label };
};
const barsOf = (start, stop) => `${start} to ${stop - 1}`;
const say = (text) => { find("said").textContent = text; };

function decide(one, decision) {
  if (decision === null) decisions.delete(one.id);
  else decisions.set(one.id, decision);
  unsaved = true;
}

function change(changes) {
  const one = current();
  const now = { ...labelOf(one), ...changes };
  const last = one.bars.length;
  if (!Number.isInteger(now.start) || !Number.isInteger(now.stop) || now.start < 0 || now.stop > last || now.start >= now.stop) {
    say(`expected a first bar that is not after the last one, in 0 to ${last - 1}`);
    show();
    return;
  }
  const label = now.label.trim();
  if (!label) {
    say("expected a word for the type");
    show();
    return;
  }
  const isAsBefore = now.start === one.span[0] && now.stop === one.span[1] && label === one.label;
  decide(one, isAsBefore ? null : { action: "change", start: now.start, stop: now.stop, label });
  addType(label);
  show();
  say(`${barsOf(now.start, now.stop)}, ${label}`);
}

function settle(action) {
  // Keep confirms what is there now: a changed label stays changed.
  const one = current();
  const made = decisions.get(one.id);
  if (action === "drop" || !made || made.action !== "change") decide(one, { action });
  const text = `${one.id}: ${decisions.get(one.id).action}`;
  const before = one.id;
  refresh();
  const place = shown.findIndex((other) => other.id === before);
  at = place < 0 ? Math.min(at, Math.max(shown.length - 1, 0)) : Math.min(place + 1, shown.length - 1);
  show();
  say(text);
}

function turn(by) {
  at = Math.min(Math.max(at + by, 0), shown.length - 1);
  show();
}

function refresh() {
  shown = data.windows.filter(FILTERS[find("filter").value]);
  at = Math.min(Math.max(at, 0), Math.max(shown.length - 1, 0));
}

function addType(word) {
  if ([...find("types").options].some((one) => one.value === word)) return;
  const option = element("option");
  option.value = word;
  find("types").append(option);
}

const types = () => [...find("types").options].map((one) => one.value);

function show() {
  const counts = { keep: 0, drop: 0, change: 0 };
  for (const one of decisions.values()) counts[one.action] += 1;
  const contradicted = data.windows.filter((one) => one.score > 0).length;
  find("summary").textContent = `${data.windows.length} windows, ${contradicted} of them contradicted, the worst first. Decided: ${counts.keep} kept, ${counts.change} changed, ${counts.drop} dropped.`;
  find("page").textContent = shown.length ? `window ${at + 1} of ${shown.length}` : "no window";
  find("previous").disabled = at === 0;
  find("next").disabled = at >= shown.length - 1;
  const one = current();
  for (const id of ["first", "last", "type", "keep", "drop", "undo"]) find(id).disabled = !one;
  find("claims").hidden = !one || !one.claims.length;
  if (!one) {
    for (const id of ["name", "about", "decision"]) find(id).textContent = "";
    find("chart").replaceChildren();
    return;
  }
  const now = labelOf(one);
  const made = decisions.get(one.id);
  find("name").textContent = one.id;
  find("decision").textContent = made ? { keep: "kept", drop: "dropped", change: "changed" }[made.action] : "";
  find("decision").className = `state ${made ? made.action : ""}`;
  find("about").textContent = [one.at, `labelled ${barsOf(...one.span)}, ${one.label}`, `disagreement ${one.score.toFixed(2)}`].filter(Boolean).join(" · ");
  find("first").value = now.start;
  find("last").value = now.stop - 1;
  find("first").max = find("last").max = one.bars.length - 1;
  find("type").value = now.label;
  find("undo").disabled = !made;
  const rows = one.claims.map((claim) => {
    const row = element("tr");
    const sure = claim.sure === null ? "" : claim.sure.toFixed(2);
    const bars = claim.span[1] > claim.span[0] ? barsOf(...claim.span) : "none";
    for (const text of [claim.kind.replaceAll("_", " "), claim.by, bars, claim.label, sure]) row.append(element("td", text));
    return row;
  });
  find("claims").tBodies[0].replaceChildren(...rows);
  draw(one, now);
}

function svg(tag, values, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
  if (text !== "") made.textContent = text;
  return made;
}

// What a claim or a label shows of itself: bars outside of the window are cut.
const within = ([start, stop], num) => [Math.min(Math.max(start, 0), num), Math.min(Math.max(stop, 0), num)];
const priceText = (value) => String(Number(value.toPrecision(6)));
let scale = null;

function draw(one, now) {
  const width = Math.max(find("chart").clientWidth, 200);
  const height = Math.max(find("chart").clientHeight, 200);
  const claims = one.claims.slice(0, NUM_LANES);
  const [left, right, top, foot] = [64, 8, 8, 22 + 12 * claims.length];
  const num = one.bars.length;
  const step = (width - left - right) / num;
  const x = (bar) => left + bar * step;
  const prices = one.bars.flatMap((bar) => [bar[1], bar[2]]);
  const [low, high] = [Math.min(...prices), Math.max(...prices)];
  const spread = high - low || Math.abs(high) || 1;
  const y = (price) => top + (height - top - foot) * (1 - (price - low + 0.04 * spread) / (1.08 * spread));
  const made = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const band = (range, from, to, name) => {
    const [start, stop] = within(range, num);
    if (stop > start) made.append(svg("rect", { class: name, x: x(start), y: from, width: (stop - start) * step, height: to - from }));
  };
  for (let i = 0; i <= 3; i += 1) {
    const price = low + (spread * i) / 3;
    made.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y(price), y2: y(price) }));
    made.append(svg("text", { x: left - 6, y: y(price) + 4, "text-anchor": "end" }, priceText(price)));
  }
  const floor = height - foot;
  band([now.start, now.stop], top, floor, "label");
  for (const bar of [now.start, now.stop]) made.append(svg("line", { class: "edge", x1: x(bar), x2: x(bar), y1: top, y2: floor }));
  if (now.start !== one.span[0] || now.stop !== one.span[1]) band(one.span, top, floor, "was");
  one.bars.forEach(([opened, top1, low1, close], i) => {
    const middle = x(i + 0.5);
    const group = svg("g", { class: close >= opened ? "candle up" : "candle" });
    group.append(svg("line", { x1: middle, x2: middle, y1: y(top1), y2: y(low1) }));
    const [upper, lower] = [y(Math.max(opened, close)), y(Math.min(opened, close))];
    group.append(svg("rect", { x: x(i + 0.2), y: upper, width: 0.6 * step, height: Math.max(lower - upper, 1) }));
    made.append(group);
  });
  for (let bar = 0; bar < num; bar += 15) made.append(svg("text", { x: x(bar + 0.5), y: floor + 14, "text-anchor": "middle" }, String(bar)));
  claims.forEach((claim, i) => band(claim.span, floor + 20 + 12 * i, floor + 28 + 12 * i, "claim"));
  find("chart").replaceChildren(made);
  const others = one.claims.map((claim) => `${claim.kind} by ${claim.by}: ${barsOf(...claim.span)} ${claim.label}`);
  find("chart").setAttribute("aria-label", [`Window ${one.id}: ${barsOf(now.start, now.stop)}, ${now.label}`, ...others].join(". "));
  scale = { left, step, num };
}

function click(event) {
  // The nearer end moves to the bar that was clicked.
  const one = current();
  if (!one) return;
  const place = (event.clientX - find("chart").getBoundingClientRect().left - scale.left) / scale.step;
  const bar = Math.min(Math.max(Math.floor(place), 0), scale.num - 1);
  const now = labelOf(one);
  if (Math.abs(bar - now.start) <= Math.abs(bar - (now.stop - 1))) change({ start: bar });
  else change({ stop: bar + 1 });
}

function save() {
  const corrections = data.windows.filter((one) => decisions.has(one.id)).map((one) => {
    const made = decisions.get(one.id);
    const was = { was_start: one.span[0], was_stop: one.span[1], was_label: one.label };
    return { window_id: one.id, ...made, ...was };
  });
  const text = JSON.stringify({ schema: 1, file: data.file, corrections }, null, 1);
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "corrections.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  unsaved = false;
  say(`${corrections.length} corrections saved`);
}

async function load(file) {
  const byId = new Map(data.windows.map((one) => [one.id, one]));
  let count = 0;
  try {
    for (const one of JSON.parse(await file.text()).corrections) {
      if (!byId.has(one.window_id) || !["keep", "drop", "change"].includes(one.action)) continue;
      const { action, start, stop, label } = one;
      const num = byId.get(one.window_id).bars.length;
      if (action === "change" && !(Number.isInteger(start) && Number.isInteger(stop) && 0 <= start && start < stop && stop <= num && typeof label === "string" && label.trim())) continue;
      decisions.set(one.window_id, action === "change" ? { action, start, stop, label } : { action });
      if (action === "change") addType(label);
      count += 1;
    }
    say(`${count} corrections read`);
  } catch {
    say(`${file.name}: expected a file that this page saved`);
  }
  refresh();
  show();
}

const KEYS = {
  ArrowLeft: () => turn(-1),
  ArrowRight: () => turn(1),
  k: () => settle("keep"),
  x: () => settle("drop"),
  a: (by) => change({ start: Math.max(labelOf(current()).start - by, 0) }),
  s: (by) => change({ start: Math.min(labelOf(current()).start + by, labelOf(current()).stop - 1) }),
  d: (by) => change({ stop: Math.max(labelOf(current()).stop - by, labelOf(current()).start + 1) }),
  f: (by) => change({ stop: Math.min(labelOf(current()).stop + by, current().bars.length) }),
  t: () => {
    const words = types();
    change({ label: words[(words.indexOf(labelOf(current()).label) + 1) % words.length] });
  },
  u: () => { decide(current(), null); show(); say("undone"); },
  w: save,
};

addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !find("keys").checked) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const chosen = /^[1-9]$/.test(name) ? types()[Number(name) - 1] : undefined;
  if (chosen === undefined && !(name in KEYS)) return;
  event.preventDefault();
  if (!current() && name !== "w") return;
  if (chosen !== undefined) change({ label: chosen });
  else KEYS[name](event.shiftKey ? 10 : 1);
});

for (const name of Object.keys(FILTERS)) find("filter").add(new Option(name));
data.labels.forEach(addType);
find("filter").addEventListener("change", () => { at = 0; refresh(); show(); });
find("previous").addEventListener("click", () => turn(-1));
find("next").addEventListener("click", () => turn(1));
find("keep").addEventListener("click", () => settle("keep"));
find("drop").addEventListener("click", () => settle("drop"));
find("undo").addEventListener("click", KEYS.u);
find("save").addEventListener("click", save);
find("load").addEventListener("change", (event) => event.target.files.length && load(event.target.files[0]));
find("first").addEventListener("change", (event) => change({ start: event.target.valueAsNumber }));
find("last").addEventListener("change", (event) => change({ stop: event.target.valueAsNumber + 1 }));
find("type").addEventListener("change", (event) => change({ label: event.target.value }));
find("chart").addEventListener("click", click);
addEventListener("resize", () => current() && draw(current(), labelOf(current())));
addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
show();
document.documentElement.dataset.ready = "true";
