/*
 * tests/support/prometheus.mjs - Read the Prometheus text format (0.0.4) and OpenMetrics 1.0 strictly: a line that is neither is an error.
 */
const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,?)/;
const VALUE = /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?Inf|NaN)$/;

const number = (text) => (/Inf/.test(text) ? (text[0] === "-" ? -Infinity : Infinity) : Number(text));

function sample(line) {
  const name = NAME.exec(line)?.[0];
  if (!name) throw new Error(`no name: ${line}`);
  let rest = line.slice(name.length);
  const labels = {};
  if (rest.startsWith("{")) {
    rest = rest.slice(1);
    for (let more = true; more && !rest.startsWith("}"); ) {
      const label = LABEL.exec(rest);
      if (!label) throw new Error(`no label: ${line}`);
      if (label[1] in labels) throw new Error(`a label twice: ${line}`);
      labels[label[1]] = label[2].replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
      more = label[3] === ",";
      rest = rest.slice(label[0].length);
    }
    if (!rest.startsWith("}")) throw new Error(`no end of labels: ${line}`);
    rest = rest.slice(1);
  }
  const [, value, timestamp] = /^ (\S+)(?: (-?\d+(?:\.\d+)?))?$/.exec(rest) ?? [];
  if (!value || !VALUE.test(value)) throw new Error(`no value: ${line}`);
  return { name, labels, value: number(value), timestamp };
}

/* The family a sample belongs to: histograms and counters have suffixes. */
function familyOf(families, name, openMetrics) {
  for (const [suffix, types] of [["_bucket", ["histogram"]], ["_sum", ["histogram"]], ["_count", ["histogram"]], ["_total", ["counter"]], ["", null]]) {
    const family = families.get(suffix && name.endsWith(suffix) ? name.slice(0, -suffix.length) : suffix ? null : name);
    if (family && (!types || types.includes(family.type)) && !(openMetrics && !suffix && family.type === "counter")) return family;
  }
  throw new Error(`${name} has no family`);
}

export function readMetrics(text, { openMetrics = false } = {}) {
  const families = new Map(), seen = new Set();
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const lines = text.slice(0, -1).split("\n");
  if (openMetrics && lines.pop() !== "# EOF") throw new Error("no # EOF at the end");
  for (const line of lines) {
    const comment = /^# (HELP|TYPE|UNIT) (\S+) ?(.*)$/.exec(line);
    if (comment) {
      const [, kind, name, rest] = comment;
      const family = families.get(name) ?? { name, samples: [] };
      if (family.samples.length) throw new Error(`${kind} of ${name} behind its samples`);
      if (family[kind.toLowerCase()] !== undefined) throw new Error(`${kind} of ${name} twice`);
      family[kind.toLowerCase()] = rest;
      families.set(name, family);
      continue;
    }
    if (line.startsWith("#")) throw new Error(`not a comment: ${line}`);
    const one = sample(line), key = JSON.stringify([one.name, Object.entries(one.labels).sort()]);
    if (seen.has(key)) throw new Error(`twice: ${line}`);
    seen.add(key);
    familyOf(families, one.name, openMetrics).samples.push(one);
  }
  for (const family of families.values()) checkFamily(family);
  return families;
}

function checkFamily({ name, type, help, samples }) {
  if (!["counter", "gauge", "histogram"].includes(type)) throw new Error(`${name} has type ${type}`);
  if (!help) throw new Error(`${name} has no help`);
  if (type === "counter" && samples.some((s) => s.value < 0)) throw new Error(`${name} is below 0`);
  if (type !== "histogram") return;
  const series = Map.groupBy
    ? Map.groupBy(samples, seriesKey)
    : samples.reduce((m, s) => m.set(seriesKey(s), [...(m.get(seriesKey(s)) ?? []), s]), new Map());
  for (const [key, all] of series) {
    const buckets = all.filter((s) => s.name.endsWith("_bucket"));
    const bounds = buckets.map((s) => number(s.labels.le.replace("+", "")));
    if (bounds.some((b, i) => i && b <= bounds[i - 1]) || bounds.at(-1) !== Infinity) throw new Error(`bounds of ${name}${key}`);
    if (buckets.some((s, i) => i && s.value < buckets[i - 1].value)) throw new Error(`${name}${key} is not cumulative`);
    const count = all.find((s) => s.name.endsWith("_count")), sum = all.find((s) => s.name.endsWith("_sum"));
    if (count?.value !== buckets.at(-1).value || sum === undefined) throw new Error(`${name}${key}: count or sum`);
  }
}

function seriesKey({ labels }) {
  const { le, ...rest } = labels;
  return JSON.stringify(Object.entries(rest).sort());
}
