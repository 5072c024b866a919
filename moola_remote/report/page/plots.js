"use strict";
// What each plot is, as an option of ECharts: pure functions of the data and of the theme.
// No HTML is made from data: tooltips are drawn on the canvas (richText), tables take textContent.

function theme() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  const runs = [0, 1, 2, 3].map((i) => color(`run${i}`));
  return {
    paper: color("paper"), ink: color("ink"), quiet: color("quiet"), line: color("line"),
    accent: color("accent"), truth: color("truth"), runs,
    hues: [color("accent"), color("truth"), runs[2], runs[1], color("hue4"), runs[3]],
    font: getComputedStyle(document.body).fontFamily,
  };
}

function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "-";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size >= 1000 ? value.toFixed(0) : size >= 100 ? value.toFixed(1) : value.toFixed(3);
}

const SHARE = { min: 0, max: 1, interval: 0.25 };

function axis(t, name, more = {}) {
  return {
    type: "value", name, nameLocation: "middle", nameGap: 26,
    nameTextStyle: { color: t.quiet }, axisLabel: { color: t.quiet, hideOverlap: true },
    axisLine: { show: true, lineStyle: { color: t.line } }, axisTick: { show: false },
    splitLine: { show: false }, ...more,
  };
}

function base(t, x, y, series) {
  const named = series.filter((one) => one.name && !one.silent);
  return {
    animation: false,
    textStyle: { fontFamily: t.font, color: t.ink },
    color: t.hues,
    grid: { left: 8, right: 14, top: named.length > 1 ? 34 : 12, bottom: 30, containLabel: true },
    legend: {
      show: named.length > 1, top: 0, left: 0, icon: "roundRect", itemWidth: 12, itemHeight: 3,
      textStyle: { color: t.quiet }, data: named.map((one) => one.name), type: "scroll",
    },
    tooltip: {
      trigger: "axis", renderMode: "richText", confine: true, backgroundColor: t.paper,
      borderColor: t.line, textStyle: { color: t.ink, fontFamily: t.font, fontSize: 12 },
      valueFormatter: number, axisPointer: { lineStyle: { color: t.quiet } },
    },
    xAxis: axis(t, x.name, { ...x, axisPointer: { label: { show: false } } }),
    yAxis: axis(t, "", { scale: true, splitNumber: 4, splitLine: { lineStyle: { color: t.line } }, axisLine: { show: false }, ...y }),
    series,
  };
}

function line(name, xs, ys, more = {}) {
  return { type: "line", name, data: xs.map((x, i) => [x, ys[i]]), showSymbol: xs.length < 2, symbolSize: 6, lineStyle: { width: 1.75 }, ...more };
}

function mark(t, data, more = {}) {
  return { silent: true, symbol: "none", lineStyle: { color: t.quiet, type: "dashed", width: 1 }, label: { color: t.quiet, formatter: "{b}", position: "insideEndTop" }, data, ...more };
}

function epochAxis(epochs) {
  const [first, second] = new Set(epochs);
  const ends = second === undefined ? { min: first - 1, max: first + 1 } : { min: "dataMin", max: "dataMax" };
  return { name: "epoch", minInterval: 1, ...ends };
}

const SCORES = { f1: "bar F1", iou: "mean IoU", in_span: "inside", out_span: "outside" };

const PLOTS = {
  loss(data, key, side, t) {
    const { epoch, train, validation, best } = data.epochs;
    const series = [line("train", epoch, train[key] || [], { color: t.quiet })];
    if (validation[key]) {
      const at = best === null ? [] : [{ name: `best ${best}`, xAxis: best }];
      series.push(line("validation", epoch, validation[key], { color: t.accent, markLine: key === "total" ? mark(t, at, { label: { color: t.quiet, formatter: "{b}", rotate: 0, align: best > epoch.at(-1) / 2 ? "right" : "left", distance: 4 } }) : undefined }));
    }
    return base(t, epochAxis(data.epochs.epoch), {}, series);
  },
  tasks(data, key, side, t) {
    const table = data.epochs[key];
    const series = Object.keys(table).map((name) => line(name, data.epochs.epoch, table[name]));
    return base(t, epochAxis(data.epochs.epoch), key === "sigma" ? {} : SHARE, series);
  },
  scores(data, key, side, t) {
    const names = Object.keys(SCORES).filter((name) => data.epochs.scores[name]);
    const series = names.map((name) => line(SCORES[name], data.epochs.epoch, data.epochs.scores[name]));
    return base(t, epochAxis(data.epochs.epoch), SHARE, series);
  },
  histogram(data, key, side, t) {
    const { inside, outside } = data.sides[side].histogram;
    const steps = (name, shares, color) => line(name, shares.map((_, i) => (i + 0.5) / shares.length), shares.map((share) => (share > 0 ? share : null)), { step: "middle", color, areaStyle: { opacity: 0.12, origin: "start" }, connectNulls: false });
    const series = [steps("inside the span", inside, t.accent), steps("outside", outside, t.quiet)];
    return base(t, { name: "probability", ...SHARE }, { type: "log", min: 0.0001, max: 1, axisLabel: { color: t.quiet, formatter: (share) => `${Number((100 * share).toPrecision(2))}%` } }, series);
  },
  reliability(data, key, side, t) {
    const rows = data.sides[side].reliability;
    const most = Math.max(...rows.map((row) => row[2]), 1);
    const points = line("bars inside", rows.map((row) => row[0]), rows.map((row) => row[1]), { showSymbol: true, symbol: "circle", color: t.accent });
    points.data = rows.map((row) => ({ value: [row[0], row[1]], symbolSize: 5 + 13 * Math.sqrt(row[2] / most) }));
    const diagonal = line("calibrated", [0, 1], [0, 1], { color: t.quiet, lineStyle: { type: "dashed", width: 1 }, showSymbol: false });
    const option = base(t, { name: "mean probability", ...SHARE }, SHARE, [points, diagonal]);
    option.tooltip.trigger = "item";
    option.tooltip.formatter = (at) => `probability ${number(at.value[0])}\ninside ${number(at.value[1])}${rows[at.dataIndex] && at.seriesIndex === 0 ? `\nbars ${rows[at.dataIndex][2]}` : ""}`;
    return option;
  },
  sweep(data, key, side, t) {
    const { sweep, chosen, threshold } = data.sides[side];
    const at = sweep.map((row) => row[0]);
    const best = sweep.reduce((top, row) => (row[1] > top[1] ? row : top), sweep[0]);
    const marks = [];
    if (chosen.f1 !== undefined) marks.push({ name: `chosen, F1 ${number(chosen.f1)}`, yAxis: chosen.f1 });
    if (threshold !== null) marks.push({ name: `threshold ${threshold}`, xAxis: threshold });
    const series = [
      line("F1", at, sweep.map((row) => row[1]), { color: t.accent, markLine: mark(t, marks), markPoint: { symbol: "circle", symbolSize: 8, label: { show: true, position: best[0] < 0.2 ? "right" : "top", color: t.ink, formatter: `best ${best[0].toFixed(2)}` }, itemStyle: { color: t.accent }, data: [{ coord: [best[0], best[1]] }] } }),
      line("precision", at, sweep.map((row) => row[2]), { color: t.truth }),
      line("recall", at, sweep.map((row) => row[3]), { color: t.quiet }),
    ];
    return base(t, { name: "threshold", ...SHARE }, SHARE, series);
  },
  precision(data, key, side, t) {
    const part = data.sides[side];
    const rows = part.precision_recall;
    const area = part.average_precision === null ? "thresholds" : `thresholds, area ${number(part.average_precision)}`;
    const series = [line(area, rows.map((row) => row[0]), rows.map((row) => row[1]), { color: t.accent })];
    if (part.chosen.recall !== undefined) series.push({ type: "scatter", name: "the run's decoder", symbolSize: 13, color: t.truth, data: [[part.chosen.recall, part.chosen.precision]] });
    const share = part.bars.inside / Math.max(part.bars.inside + part.bars.outside, 1);
    series[0].markLine = mark(t, [{ name: "by chance", yAxis: share }], { label: { color: t.quiet, formatter: "{b}", position: "insideStartTop" } });
    const option = base(t, { name: "recall", ...SHARE }, SHARE, series);
    option.tooltip.trigger = "item";
    option.tooltip.formatter = (at) => `recall ${number(at.value[0])}\nprecision ${number(at.value[1])}`;
    option.tooltip.axisPointer = { type: "none" };
    series[0].showSymbol = true;
    series[0].symbol = "circle";
    series[0].symbolSize = 2.5;
    return option;
  },
  timeline(data, key, side, t) {
    const colors = { queue: t.quiet, "start-up": t.runs[2], training: t.accent, judging: t.truth, run: t.accent };
    const series = data.time.phases.map((phase) => ({
      type: "bar", stack: "time", name: phase.name, color: colors[phase.name], barWidth: 18,
      data: [[phase.to - phase.from, "run"]],
    }));
    const rows = ["run"];
    if (data.time.idle !== null) {
      rows.unshift("idle");
      series.push({ type: "custom", silent: true, color: t.runs[3], data: data.time.idle, encode: { x: [0, 1] }, renderItem: idle });
    }
    const option = base(t, { name: "seconds", min: 0, max: "dataMax" }, {}, series);
    option.yAxis = { type: "category", data: rows, axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: t.quiet } };
    option.tooltip.trigger = "item";
    option.tooltip.formatter = (at) => `${at.seriesName} ${number(at.value[0])} s`;
    return option;
  },
  telemetry(data, key, side, t) {
    const names = Object.keys(data.time.samples).filter((name) => name.endsWith(key));
    const series = names.map((name) => line(name, data.time.samples.t, data.time.samples[name], { lineStyle: { width: 1.25 } }));
    const spans = data.time.phases.filter((phase) => phase.name === "training").map((phase) => [{ xAxis: phase.from }, { xAxis: phase.to }]);
    if (series.length) series[0].markArea = { silent: true, itemStyle: { color: t.accent, opacity: 0.07 }, label: { show: false }, data: spans };
    return base(t, { name: "seconds", min: "dataMin", max: "dataMax" }, key === "%" ? { min: 0, max: 100, interval: 25 } : { min: 0 }, series);
  },
  over(data, key, side, t) {
    const [table, name] = key.split(".");
    const series = data.runs.filter((run) => run.epochs[table][name]).map((run, i) => line(run.label, run.epochs.epoch, run.epochs[table][name], { color: t.runs[i % 4] }));
    return base(t, epochAxis(data.runs.flatMap((run) => run.epochs.epoch)), table === "scores" ? SHARE : {}, series);
  },
  against(data, key, side, t) {
    const points = data.sides[side].against[key];
    const series = [
      { type: "scatter", name: "windows", symbolSize: 7, color: t.accent, itemStyle: { opacity: 0.8 }, data: points.map((point) => [point[0], point[1]]) },
      line("equal", [0, 1], [0, 1], { color: t.quiet, lineStyle: { type: "dashed", width: 1 }, showSymbol: false }),
    ];
    const option = base(t, { name: `IoU of ${data.runs[0].label}`, ...SHARE }, { name: `IoU of ${key}`, nameLocation: "middle", nameGap: 34, ...SHARE }, series);
    option.legend.show = false;
    option.grid = { ...option.grid, left: 28, top: 12 };
    option.tooltip.trigger = "item";
    option.tooltip.formatter = (at) => (at.seriesIndex ? "equal" : `${points[at.dataIndex][2]}\n${data.runs[0].label} ${number(at.value[0])}, ${key} ${number(at.value[1])}`);
    return option;
  },
};

function idle(params, api) {
  const [from, y] = api.coord([api.value(0), 0]);
  const [to] = api.coord([api.value(1), 0]);
  return { type: "rect", shape: { x: from, y: y - 9, width: Math.max(to - from, 1), height: 18 }, style: { fill: api.visual("color") } };
}

function candles(card, t) {
  const bars = card.runs[0].probs.map((_, i) => i);
  const across = (range, color, fill, width) => (params, api) => {
    const size = api.size([1, 0])[0];
    const from = api.coord([range[0], 0])[0] - size / 2;
    const to = api.coord([range[1] - 1, 0])[0] + size / 2;
    const { y, height } = params.coordSys;
    const box = { type: "rect", shape: { x: from, y, width: to - from, height }, style: { fill: color, opacity: fill } };
    const edge = (x) => ({ type: "line", shape: { x1: x, y1: y, x2: x, y2: y + height }, style: { stroke: color, lineWidth: width } });
    return { type: "group", children: [box, ...(width ? [edge(from), edge(to)] : [])] };
  };
  const series = [];
  const hasBars = card.bars.length > 0;
  const prices = card.bars.flatMap((bar) => [bar[2], bar[3]]).filter((price) => price !== null);
  const [low, high] = hasBars ? [Math.min(...prices), Math.max(...prices)] : [0, 1];
  const margin = 0.05 * (high - low) || 1;
  const grids = hasBars ? [0, 1] : [1];
  for (const grid of grids) {
    const spans = [[card.true, t.truth, 0.28, 1], ...card.runs.map((run, i) => [run.spans, t.runs[i % 4], 0.05, 1.75])];
    for (const [ranges, ...look] of spans) {
      for (const range of ranges) series.push({ type: "custom", silent: true, xAxisIndex: grid, yAxisIndex: grid, z: 1, data: [[0, 0]], renderItem: across(range, ...look) });
    }
  }
  if (hasBars) series.push({ type: "candlestick", name: "bar", data: card.bars, z: 2, barMaxWidth: 8, itemStyle: { color: t.paper, color0: t.ink, borderColor: t.ink, borderColor0: t.ink, borderWidth: 1 } });
  card.runs.forEach((run, i) => series.push({ type: "line", name: card.runs.length > 1 ? run.label : "probability", xAxisIndex: 1, yAxisIndex: 1, z: 2, data: run.probs, showSymbol: false, step: "middle", color: t.runs[i % 4], lineStyle: { width: 1.25 }, areaStyle: { opacity: card.runs.length > 1 ? 0 : 0.15 } }));
  const x = (grid, isShown) => ({ type: "category", gridIndex: grid, data: bars, axisLine: { lineStyle: { color: t.line } }, axisTick: { show: false }, axisLabel: { show: isShown, color: t.quiet, fontSize: 10, interval: 19 } });
  const y = (grid, more) => ({ type: "value", gridIndex: grid, splitLine: { lineStyle: { color: t.line } }, axisLabel: { color: t.quiet, fontSize: 10, hideOverlap: true }, ...more });
  return {
    animation: false, textStyle: { fontFamily: t.font, color: t.ink },
    grid: [{ left: 52, right: 4, top: 8, height: hasBars ? "60%" : 0 }, { left: 52, right: 4, top: hasBars ? "70%" : 8, bottom: 22 }],
    tooltip: {
      trigger: "axis", renderMode: "richText", confine: true, backgroundColor: t.paper, borderColor: t.line,
      textStyle: { color: t.ink, fontFamily: t.font, fontSize: 11 }, axisPointer: { lineStyle: { color: t.quiet } },
      formatter: (at) => describeBar(card, at[0].dataIndex),
    },
    axisPointer: { link: [{ xAxisIndex: "all" }] },
    xAxis: [x(0, false), x(1, true)],
    yAxis: [y(0, { min: low - margin, max: high + margin, show: hasBars, splitNumber: 3, axisLabel: { color: t.quiet, fontSize: 10, showMinLabel: false, showMaxLabel: false } }), y(1, { min: 0, max: 1, splitNumber: 2, interval: 0.5 })],
    series,
  };
}

function describeBar(card, i) {
  const lines = [`bar ${i}`];
  if (card.bars[i]) {
    const [open, close, low, high] = card.bars[i];
    lines.push(`open ${open}  high ${high}`, `low ${low}  close ${close}`);
  }
  for (const run of card.runs) lines.push(`${card.runs.length > 1 ? run.label : "probability"} ${number(run.probs[i])}`);
  return lines.join("\n");
}
