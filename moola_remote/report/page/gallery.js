"use strict";
// Windows as cards: sorted, filtered, a page at a time.

const MISSED = 0.5;
const iouOf = (card, i = 0) => card.runs[i].iou;
const change = (card) => iouOf(card, card.runs.length - 1) - iouOf(card);
const isHit = (card, i = 0) => iouOf(card, i) >= MISSED;

const SORTS = {
  one: {
    "error, worst first": (a, b) => iouOf(a) - iouOf(b) || b.runs[0].sure - a.runs[0].sure,
    "error, best first": (a, b) => iouOf(b) - iouOf(a),
    "surest first": (a, b) => b.runs[0].sure - a.runs[0].sure,
    "surest mistakes first": (a, b) => (1 - iouOf(b)) * b.runs[0].sure - (1 - iouOf(a)) * a.runs[0].sure,
    "time": (a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0),
  },
  several: {
    "largest change first": (a, b) => Math.abs(change(b)) - Math.abs(change(a)),
    "largest gain first": (a, b) => change(b) - change(a),
    "largest loss first": (a, b) => change(a) - change(b),
  },
};
const FILTERS = {
  one: {
    "all": () => true,
    "missed (IoU < 0.5)": (card) => !isHit(card),
    "found (IoU ≥ 0.5)": (card) => isHit(card),
    "wrong type": (card) => card.runs[0].type !== null && card.type !== null && card.runs[0].type !== card.type,
  },
  several: {
    "all that flipped": () => true,
    "won": (card) => isHit(card, card.runs.length - 1) && !isHit(card),
    "lost": (card) => !isHit(card, card.runs.length - 1) && isHit(card),
  },
};

class Gallery {
  constructor(section, data) {
    this.section = section;
    this.types = data.types || [];
    this.all = data.sides[section.dataset.side].gallery;
    const kind = this.all[0].runs.length > 1 ? "several" : "one";
    this.sorts = SORTS[kind];
    this.filters = FILTERS[kind];
    this.page = 0;
    this.charts = [];
    this.sort = this.select(".sort", this.sorts);
    this.filter = this.select(".filter", this.filters);
    this.find(".previous").addEventListener("click", () => this.turn(-1));
    this.find(".next").addEventListener("click", () => this.turn(1));
    this.narrow = matchMedia("(max-width: 40rem)");
    this.narrow.addEventListener("change", () => this.show());
    this.show();
  }

  find(selector) { return this.section.querySelector(selector); }

  select(selector, choices) {
    const select = this.find(selector);
    for (const name of Object.keys(choices)) select.add(new Option(name));
    select.addEventListener("change", () => { this.page = 0; this.show(); });
    return select;
  }

  turn(by) {
    this.page += by;
    this.show();
  }

  show() {
    const cards = this.all.filter(this.filters[this.filter.value]).sort(this.sorts[this.sort.value]);
    const size = this.narrow.matches ? 4 : 9;
    const pages = Math.max(Math.ceil(cards.length / size), 1);
    this.page = Math.min(Math.max(this.page, 0), pages - 1);
    this.find(".previous").disabled = this.page === 0;
    this.find(".next").disabled = this.page === pages - 1;
    this.find(".page").textContent = `page ${this.page + 1} of ${pages}, ${cards.length} window${cards.length === 1 ? "" : "s"}`;
    this.charts.forEach((chart) => chart.dispose());
    const shown = cards.slice(this.page * size, (this.page + 1) * size);
    this.find(".cards").replaceChildren(...shown.map((card) => this.figure(card)));
    this.charts = shown.map((card, i) => draw(this.section.querySelectorAll(".card .canvas")[i], candles(card, theme())));
  }

  redraw() { this.show(); }

  resize() { this.charts.forEach((chart) => chart.resize()); }

  figure(card) {
    const figure = element("figure", "card");
    const canvas = element("div", "canvas");
    canvas.setAttribute("role", "img");
    canvas.tabIndex = 0;
    const caption = element("figcaption");
    const name = element("p", "name");
    name.append(element("span", "", card.id), element("span", "", card.runs.map((run) => `IoU ${run.iou.toFixed(2)}`).join(" → ")));
    caption.append(name, ...this.lines(card).map((text) => element("p", "", text)));
    canvas.setAttribute("aria-label", `Window ${card.id}. ${this.lines(card).join(". ")}. Arrow keys read the bars.`);
    figure.append(canvas, caption);
    readable(canvas, () => card.runs[0].probs.length, (i) => describeBar(card, i), 0);
    return figure;
  }

  lines(card) {
    const type = (i) => (i === null ? "" : this.types[i] || `type ${i}`);
    const spans = (list, types) => list.map(([from, to], i) => `${from} to ${to - 1}${types ? ` (${type(types[i])})` : ""}`).join(", ") || "none";
    const lines = [`${card.at ? `${card.at}, ` : ""}true span${card.true.length > 1 ? "s" : ""} ${spans(card.true, card.types)}${card.type === null ? "" : `, ${type(card.type)}`}`];
    for (const run of card.runs) {
      lines.push(`${run.label} ${spans(run.spans, run.types)}, confidence ${run.sure.toFixed(2)}${run.type === null ? "" : `, ${type(run.type)}`}`);
      if (run.evidence) {
        const [networks, columns] = run.evidence;
        lines.push(`carried by ${columns > networks ? "columns" : "networks"}: columns ${columns.toFixed(1)}, networks ${networks.toFixed(1)} nats`);
      }
    }
    return lines;
  }
}
