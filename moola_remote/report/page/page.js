"use strict";
// Draws every plot of the page, keeps them in step with size and colour scheme, and reads them aloud.

const data = JSON.parse(document.getElementById("data").textContent);

function element(tag, name = "", text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== "") made.textContent = text;
  return made;
}

function draw(canvas, option) {
  const chart = echarts.init(canvas, null, { renderer: "canvas" });
  chart.on("finished", () => { canvas.dataset.drawn = "true"; });
  chart.setOption(option);
  return chart;
}

function readable(canvas, count, words, series) {
  // Left, right, Home and End move over the points; what is there is said, and shown as a tooltip.
  let at = -1;
  canvas.addEventListener("keydown", (event) => {
    const last = count() - 1;
    const to = { ArrowLeft: Math.max(at - 1, 0), ArrowRight: Math.min(at + 1, last), Home: 0, End: last }[event.key];
    const chart = echarts.getInstanceByDom(canvas);
    if (event.key === "Escape" || to === undefined) {
      chart.dispatchAction({ type: "hideTip" });
      return;
    }
    event.preventDefault();
    at = to;
    document.getElementById("said").textContent = words(at).replaceAll("\n", ", ");
    const index = series < 0 ? 0 : chart.getOption().series.findIndex((one) => one.type === "line" || one.type === "candlestick");
    chart.dispatchAction({ type: "showTip", seriesIndex: index, dataIndex: at });
  });
  canvas.addEventListener("blur", () => echarts.getInstanceByDom(canvas)?.dispatchAction({ type: "hideTip" }));
}

function columns(option) {
  // Series of the same x are columns of one table; a plot without such series brings its own.
  if (option.table) return [option.table];
  const tables = new Map();
  for (const one of option.series.filter((series) => series.name && Array.isArray(series.data))) {
    const rows = one.data.map((point) => point.value || point);
    const key = rows.map((row) => row[0]).join();
    if (!tables.has(key)) tables.set(key, { x: rows.map((row) => row[0]), names: [], values: [] });
    tables.get(key).names.push(one.name);
    tables.get(key).values.push(rows.map((row) => row[1]));
  }
  return [...tables.values()];
}

function words(option, i) {
  const table = columns(option)[0];
  const name = table.head || option.xAxis.name || "";
  return [`${name} ${number(table.x[i])}`, ...table.names.map((one, k) => `${one} ${number(table.values[k][i])}`)].join("\n");
}

function numbers(option) {
  return columns(option).map(({ head: first, x, names, values }) => {
    const table = element("table", "points");
    const head = table.createTHead().insertRow();
    for (const name of [first || option.xAxis.name, ...names]) {
      const cell = element("th", "", name);
      cell.scope = "col";
      head.append(cell);
    }
    const body = table.createTBody();
    x.forEach((at, i) => {
      const row = body.insertRow();
      for (const value of [at, ...values.map((column) => column[i])]) row.insertCell().textContent = number(value);
    });
    return table;
  });
}

const plots = [...document.querySelectorAll("[data-plot]")].map((canvas) => {
  const { plot, key, side } = canvas.dataset;
  const option = () => PLOTS[plot](data, key, side, theme());
  const one = { canvas, option, chart: draw(canvas, option()) };
  const details = canvas.parentElement.querySelector("details");
  details.addEventListener("toggle", () => {
    if (details.open) details.lastElementChild.replaceChildren(...numbers(option()));
  });
  readable(canvas, () => columns(option())[0].x.length, (i) => words(option(), i), -1);
  return one;
});
const galleries = [...document.querySelectorAll(".gallery")].map((section) => new Gallery(section, data));

let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  plots.forEach((one) => one.chart.resize());
  galleries.forEach((one) => one.resize());
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  plots.forEach((one) => one.chart.setOption(one.option(), true));
  galleries.forEach((one) => one.redraw());
});
document.documentElement.dataset.ready = "true";
