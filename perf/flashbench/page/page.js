"use strict";

const FIGURES = [
  ["cpu_with_softirq_us_per_delivery", "CPU per delivery, with ksoftirqd, µs", 2],
  ["cpu_us_per_delivery", "CPU per delivery, its processes alone, µs", 2],
  ["cpu_with_softirq_ms_per_second", "CPU per second, with ksoftirqd, ms", 1],
  ["cpu_ms_per_second", "CPU per second, its processes alone, ms", 1],
  ["first_ms", "first subscriber, ms", 3], ["first_read_ms", "first subscriber, when read, ms", 3],
  ["median_ms", "median subscriber, ms", 3], ["median_read_ms", "median subscriber, when read, ms", 3],
  ["last_ms", "last subscriber, ms", 3], ["last_read_ms", "last subscriber, when read, ms", 3],
  ["last_p99_ms", "last subscriber p99, ms", 3], ["last_read_p99_ms", "last subscriber p99, when read, ms", 3],
  ["spread_ms", "last less first, ms", 3], ["spread_read_ms", "last less first, when read, ms", 3],
  ["latency_p50_ms", "delivery p50, ms", 3], ["latency_read_p50_ms", "delivery p50, when read, ms", 3],
  ["latency_p99_ms", "delivery p99, ms", 3], ["latency_read_p99_ms", "delivery p99, when read, ms", 3],
  ["latency_p99.9_ms", "delivery p99.9, ms", 3], ["latency_read_p99.9_ms", "delivery p99.9, when read, ms", 3],
  ["latency_p99.99_ms", "delivery p99.99, ms", 3], ["latency_p99.999_ms", "delivery p99.999, ms", 3],
  ["latency_max_ms", "delivery worst, ms", 3], ["latency_read_max_ms", "delivery worst, when read, ms", 3], ["unfairness", "mean ranks' spread", 3],
  ["memory_bytes_per_subscriber", "memory per subscriber, B", 0], ["rss_mb", "resident, MB", 1],
  ["rss_growth_kb", "its growth since 1/6 of the time, kB", 0], ["system_calls_per_message", "system calls per message", 1],
  ["waited_percent", "proxy waited for its core, %", 1],
  ["switches_per_message", "context switches per message", 1], ["deliveries", "deliveries", 0],
  ["lost", "lost", 0], ["wrong", "repeated, reordered, corrupt, late", 0], ["cut_off", "readers cut off", 0],
  ["builder_late_ms", "builder late, median, ms", 3], ["builder_late_max_ms", "builder late, worst, ms", 3],
];
const ALARMS = new Set(["lost", "wrong", "cut_off"]);
const COLOURS = 8;

const results = JSON.parse(document.getElementById("results").textContent);

function element(name, parent, text) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function median(values) {
  const known = values.filter((v) => v !== null && v !== undefined).sort((a, b) => a - b);
  if (known.length === 0) return null;
  const half = known.length >> 1;
  return known.length % 2 ? known[half] : (known[half - 1] + known[half]) / 2;
}

const number = (value, digits) => value === null ? "–" : value.toLocaleString("en", {minimumFractionDigits: digits, maximumFractionDigits: digits});

/* What differs from run to run on purpose: runs with equal keys are compared. */
function pointKey(run, options) {
  const p = run.point;
  const parts = [`${p.subscribers.toLocaleString("en")} subscribers`, `${p.bytes.toLocaleString("en")} bytes`, `every ${p.interval_ms} ms`];
  if (options.burst > 1) parts.push(`${options.burst} at once`);
  if (options.churn_per_s > 0) parts.push(`${options.churn_per_s} leave and return per second`);
  if (options.slow > 0) parts.push(`${options.slow} slow beside them`);
  if (options.stalled > 0) parts.push(`${options.stalled} stalled beside them`);
  if (options.receivers_softirq) parts.push("softirq of receivers on their core");
  return parts.join(", ");
}

/* Map of point -> map of series name -> runs of all rounds. */
function collect() {
  const points = new Map();
  results.forEach((result, document) => {
    for (const run of result.runs) {
      const key = pointKey(run, result.options);
      const name = results.length > 1 ? `${run.label} (${document + 1})` : run.label;
      if (!points.has(key)) points.set(key, new Map());
      const series = points.get(key);
      if (!series.has(name)) series.set(name, []);
      series.get(name).push(run);
    }
  });
  return points;
}

function colour(index) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--s${index % COLOURS}`).trim();
}

function table(parent, series) {
  const node = element("table", element("div", parent));
  node.parentNode.className = "scroll";
  const head = element("tr", element("thead", node));
  element("th", head, "median of the rounds");
  [...series.keys()].forEach((name, index) => {
    const cell = element("th", head);
    const key = element("span", cell);
    key.className = "key";
    key.style.background = `var(--s${index % COLOURS})`;
    cell.append(name);
  });
  const body = element("tbody", node);
  for (const [key, title, digits] of FIGURES) {
    const row = element("tr", body);
    element("td", row, title);
    for (const runs of series.values()) {
      const values = runs.map((run) => run.figures[key]);
      const value = ALARMS.has(key) ? Math.max(...values) : median(values);
      const cell = element("td", row, number(value, digits));
      if (ALARMS.has(key) && value > 0) cell.className = "bad";
    }
  }
}

/* --- plots --- */

const plots = [];

function axisStyle() {
  const style = getComputedStyle(document.documentElement);
  return {stroke: style.getPropertyValue("--muted").trim(), grid: {stroke: style.getPropertyValue("--line").trim(), width: 1},
    ticks: {stroke: style.getPropertyValue("--line").trim(), width: 1}};
}

/* A plot is made anew when the colour scheme changes; its width follows its box. */
function plot(parent, title, data, names, describe) {
  const box = element("div", parent);
  box.className = "plot";
  element("h3", box, title);
  const place = element("div", box);
  const entry = {place, chart: null, make() {
    if (entry.chart) entry.chart.destroy();
    const style = axisStyle();
    const options = describe(style);
    options.width = Math.max(place.clientWidth, 200);
    options.height = 300;
    options.series = [options.series[0], ...names.map((name, index) => ({...options.series[1], label: name, stroke: colour(index),
      width: 1.75, points: {show: false}}))];
    entry.chart = new uPlot(options, data, place);
  }};
  plots.push(entry);
  new ResizeObserver(() => entry.chart && entry.chart.setSize({width: Math.max(place.clientWidth, 200), height: 300})).observe(place);
  entry.make();
}

/* The value at a quantile of a distribution with {count, quantiles: [[quantile, ms], ...]}; none beyond the sample. */
function at(distribution, wanted) {
  if ((1 - wanted) * distribution.count < 0.999) return null;
  for (const [quantile, value] of distribution.quantiles) if (quantile >= wanted - 1e-12) return value;
  return null;
}

const NINES = [[0, "0"], [1, "90"], [2, "99"], [3, "99.9"], [4, "99.99"], [5, "99.999"], [6, "99.9999"]];

/* x is the number of nines, so that the tail has as much room as the body. */
function distribution(parent, series, member, title) {
  const longest = Math.max(...[...series.values()].flat().map((run) => run[member].count));
  const last = Math.log10(Math.max(longest, 10));
  const xs = [];
  for (let x = 0; x <= last + 1e-9; x += last / 120) xs.push(x);
  const data = [xs, ...[...series.values()].map((runs) =>
    xs.map((x) => median(runs.map((run) => at(run[member], 1 - Math.pow(10, -x))))))];
  const ms = (v) => v === null ? "–" : `${Number(v.toPrecision(3))} ms`;
  plot(parent, title, data, [...series.keys()], (style) => ({
    scales: {x: {time: false, range: [0, last]}, y: {distr: 3}},
    axes: [{...style, splits: () => NINES.map((n) => n[0]).filter((n) => n <= last), values: (u, v) => v.map((x) => `${NINES[x][1]} %`)},
      {...style, size: 74, values: (u, v) => v.map((y) => y === null ? "" : `${y} ms`)}],
    series: [{label: "percentile", value: (u, x) => x === null ? "–" : `${(100 * (1 - Math.pow(10, -x))).toFixed(Math.max(0, Math.ceil(x)))} %`},
      {value: (u, v) => v === null || v === undefined ? "–" : ms(v)}],
  }));
}

function timeLine(parent, series, column, title) {
  const tables = [...series.values()].map((runs) => [runs[0].time_line.map((p) => p[0]), runs[0].time_line.map((p) => p[column])]);
  const data = uPlot.join(tables);
  plot(parent, title, data, [...series.keys()], (style) => ({
    scales: {x: {time: false}},
    axes: [{...style, values: (u, v) => v.map((x) => `${x} s`)}, {...style, size: 74, values: (u, v) => v.map((y) => `${y} ms`)}],
    series: [{label: "time", value: (u, x) => x === null ? "–" : `${x.toFixed(2)} s`},
      {spanGaps: true, value: (u, v) => v === null || v === undefined ? "–" : `${v.toFixed(3)} ms`}],
  }));
}

function memoryLine(parent, series) {
  const lines = [...series.values()].map((runs) => runs[0].memory_line);
  if (!lines.some((line) => line.length > 2)) return;
  const data = uPlot.join(lines.map((line) => [line.map((p) => p[0]), line.map((p) => p[1])]));
  plot(parent, "Resident memory, huge pages included (first round)", data, [...series.keys()], (style) => ({
    scales: {x: {time: false}},
    axes: [{...style, values: (u, v) => v.map((x) => `${x} s`)}, {...style, size: 74, values: (u, v) => v.map((y) => `${y} MB`)}],
    series: [{label: "time", value: (u, x) => x === null ? "–" : `${x.toFixed(0)} s`},
      {spanGaps: true, value: (u, v) => v === null || v === undefined ? "–" : `${v.toFixed(2)} MB`}],
  }));
}

function ranks(parent, series) {
  const xs = Array.from({length: 101}, (unused, i) => i);
  const data = [xs, ...[...series.values()].map((runs) => xs.map((x) => {
    const values = runs[0].mean_ranks;
    return values.length ? values[Math.round(x / 100 * (values.length - 1))] : null;
  }))];
  plot(parent, "Fairness: mean rank of each subscriber, 0 first and 1 last (flat is fair)", data, [...series.keys()], (style) => ({
    scales: {x: {time: false}, y: {range: [0, 1]}},
    axes: [{...style, values: (u, v) => v.map((x) => `${x} %`)}, {...style, size: 50}],
    series: [{label: "subscribers"}, {value: (u, v) => v === null || v === undefined ? "–" : v.toFixed(3)}],
  }));
}

/* --- the page --- */

function ratios(parent, key) {
  const rows = results.flatMap((result) => result.ratios.filter((ratio) => pointKey(ratio, result.options) === key));
  if (rows.length === 0) return;
  const names = [...new Set(rows.map((row) => `${row.of} / ${row.against}`))];
  const node = element("table", element("div", parent));
  node.parentNode.className = "scroll";
  const head = element("tr", element("thead", node));
  element("th", head, "ratio, median (spread) of the pairs");
  names.forEach((name) => element("th", head, name));
  const body = element("tbody", node);
  for (const [figure, title] of FIGURES) {
    const found = names.map((name) => rows.find((row) => row.figure === figure && `${row.of} / ${row.against}` === name));
    if (!found.some(Boolean)) continue;
    const line = element("tr", body);
    element("td", line, title.replace(/, (µs|ms|B|MB)$/, ""));
    found.forEach((row) => element("td", line, row ? `${row.median.toFixed(2)}${row.flawed ? "!" : ""} (${row.minimum.toFixed(2)} – ${row.maximum.toFixed(2)})` : "–"));
  }
}

function commands(parent, series) {
  const node = element("details", parent);
  element("summary", node, "Commands");
  for (const [name, runs] of series) {
    const line = element("p", node, `${name}: `);
    element("code", line, runs[0].command || "a proxy that was running");
  }
}

function notes(parent, series) {
  for (const [name, runs] of series) {
    const limited = runs.filter((run) => run.flashbench.was_bottleneck).length;
    const flawed = runs.filter((run) => run.flawed).length;
    if (flawed) element("p", parent, `${name}: lost or spoiled deliveries or cut readers off in ${flawed} of ${runs.length} runs; its ratios are marked with !.`).className = "bad";
    const cut = runs.filter((run) => !run.complete).length;
    if (limited) element("p", parent, `${name}: flashbench was too slow itself, or had to share its core, in ${limited} of ${runs.length} runs.`).className = "bad";
    if (cut) element("p", parent, `${name}: ${cut} of ${runs.length} runs were interrupted; what was measured until then counts.`);
  }
}

function show() {
  document.getElementById("host").textContent = results.map((r, i) =>
    `${results.length > 1 ? `(${i + 1}) ` : ""}${r.when}, Linux ${r.kernel} ${r.machine}, ${r.cores} cores`).join("; ");
  const main = document.getElementById("points");
  for (const [key, series] of collect()) {
    const section = element("section", main);
    element("h2", section, key);
    notes(section, series);
    const grid = element("div", section);
    grid.className = "plots";
    distribution(grid, series, "latency", "Latency of every delivery, by percentile (the kernel's time stamp)");
    distribution(grid, series, "latency_read", "Latency of every delivery, by percentile (when the subscriber read it)");
    timeLine(grid, series, 3, "Last subscriber of each flashblock, over time (first round)");
    timeLine(grid, series, 1, "First subscriber of each flashblock, over time (first round)");
    ranks(grid, series);
    memoryLine(grid, series);
    table(section, series);
    ratios(section, key);
    commands(section, series);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach((p) => p.make()));
}

show();
