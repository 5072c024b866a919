"use strict";
// The plots of a sweep, beside those of plots.js; and the trials that are brushed, in the table.

function share(data, value) {
  // How good a trial is among those that ended: 0 the worst, 1 the best.
  const known = data.trials.filter((one) => one.state === "complete").map((one) => one.value);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const place = high > low ? (value - low) / (high - low) : 1;
  return data.is_max ? place : 1 - place;
}

function lines_of(data, t) {
  return data.trials.filter((one) => one.value !== null).map((one) => {
    const isBest = one.number === data.best;
    const color = isBest ? t.truth : one.state === "complete" ? t.accent : t.quiet;
    const opacity = isBest ? 1 : one.state === "complete" ? 0.25 + 0.6 * share(data, one.value) : 0.35;
    return { trial: one.number, value: [...one.params, one.value], lineStyle: { color, opacity, width: isBest ? 3 : one.state === "complete" ? 1.5 : 0.75 } };
  });
}

Object.assign(PLOTS, {
  parallel(data, key, side, t) {
    const axes = [...data.axes, { name: data.goal, type: "value" }].map((one, dim) => ({
      dim, name: one.name, type: one.type, scale: true, ...(one.type === "category" ? { data: one.data } : {}),
      nameTextStyle: { color: t.quiet }, nameTruncate: { maxWidth: 90 }, axisLabel: { color: t.quiet, hideOverlap: true }, axisLine: { lineStyle: { color: t.line } },
      axisTick: { show: false }, areaSelectStyle: { width: 18, borderWidth: 1, borderColor: t.accent, color: t.accent, opacity: 0.2 },
    }));
    const rows = lines_of(data, t);
    const values = [...data.axes.keys(), data.axes.length].map((dim) => rows.map((row) => row.value[dim]));
    return {
      animation: false, textStyle: { fontFamily: t.font, color: t.ink }, parallelAxis: axes,
      parallel: { left: 52, right: 44, top: 34, bottom: 20 },
      tooltip: { renderMode: "richText", confine: true, backgroundColor: t.paper, borderColor: t.line, textStyle: { color: t.ink, fontFamily: t.font, fontSize: 12 }, formatter: (at) => `trial ${rows[at.dataIndex].trial}` },
      series: [{ type: "parallel", name: "trials", data: rows, smooth: false, inactiveOpacity: 0.04, activeOpacity: 1 }],
      table: { head: "trial", x: rows.map((row) => row.trial), names: [...data.axes.map((one) => one.name), data.goal], values },
    };
  },
  progress(data, key, side, t) {
    const known = data.trials.filter((one) => one.state === "complete");
    let best = null;
    const so_far = known.map((one) => { best = best === null || (data.is_max ? one.value > best : one.value < best) ? one.value : best; return best; });
    const xs = known.map((one) => one.number);
    const points = line("trial", xs, known.map((one) => one.value), { showSymbol: true, symbol: "circle", symbolSize: 6, color: t.quiet, lineStyle: { width: 0 } });
    return base(t, { name: "trial", minInterval: 1 }, {}, [points, line("best so far", xs, so_far, { step: "end", color: t.accent })]);
  },
  curves(data, key, side, t) {
    const series = data.trials.filter((one) => one.steps.length).map((one) => {
      const isBest = one.number === data.best;
      const color = isBest ? t.truth : one.state === "pruned" ? t.quiet : t.accent;
      return line(`trial ${one.number}`, one.steps.map((step) => step[0]), one.steps.map((step) => step[1]), { color, lineStyle: { width: isBest ? 2.5 : 1, opacity: isBest ? 1 : 0.5 }, z: isBest ? 3 : 2 });
    });
    const option = base(t, { name: "epoch", minInterval: 1 }, {}, series);
    return { ...option, legend: { show: false }, grid: { ...option.grid, top: 12 }, tooltip: { ...option.tooltip, trigger: "item", formatter: (at) => `${at.seriesName}\nepoch ${at.value[0]}: ${number(at.value[1])}` } };
  },
  importance(data, key, side, t) {
    const rows = data.importance;
    const option = base(t, { name: "share of the differences", min: 0 }, {}, [{ type: "bar", name: "share", data: rows.map((row) => row[1]), color: t.accent, barMaxWidth: 18 }]);
    option.yAxis = { ...axis(t, ""), type: "category", inverse: true, data: rows.map((row) => row[0]), axisTick: { show: false } };
    option.table = { head: "setting", x: rows.map((row) => row[0]), names: ["share"], values: [rows.map((row) => row[1])] };
    return option;
  },
});

addEventListener("DOMContentLoaded", () => {
  // A drag on an axis selects; a press on it selects all again. The table shows what is selected.
  const canvas = document.querySelector('[data-plot="parallel"]');
  if (!canvas) return;
  const chart = echarts.getInstanceByDom(canvas);
  chart.on("axisareaselected", () => {
    const model = chart.getModel().getSeries()[0];
    const rows = lines_of(data, theme());
    const isBrushed = chart.getOption().parallelAxis.some((one) => (one.activeIntervals || []).length > 0) || model.getRawIndicesByActiveState("inactive").length > 0;
    const chosen = new Set(model.getRawIndicesByActiveState(isBrushed ? "active" : "normal").map((i) => rows[i].trial));
    for (const row of document.querySelectorAll("table.index tbody tr")) row.hidden = isBrushed && !chosen.has(Number(row.cells[0].dataset.order));
    document.getElementById("said").textContent = isBrushed ? `${chosen.size} of ${rows.length} trials selected` : "all trials";
  });
});
