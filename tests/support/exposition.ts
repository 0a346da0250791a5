/**
 * A strict reader of what Prometheus scrapes, in both forms: it refuses whatever OpenMetrics 1.0 does not
 * allow, and with it what the older format does not.
 */
import assert from "node:assert/strict";

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: ["_total"],
  gauge: [""],
  info: ["_info"],
  histogram: ["_bucket", "_sum", "_count"],
};

/** Reads the text, or fails with what is wrong in it. */
export function readExposition(text: string, form: "openmetrics" | "plain"): Family[] {
  assert.ok(text.endsWith("\n"), "the last line ends");
  const lines = text.slice(0, -1).split("\n");
  if (form === "openmetrics") assert.equal(lines.pop(), "# EOF");
  const families: (Omit<Family, "samples"> & { samples: Sample[] })[] = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    const help = /^# HELP ([a-zA-Z_:][\w:]*) ((?:[^\\]|\\[\\n])*)$/.exec(line);
    if (help !== null) {
      const [, name = "", words = ""] = help;
      const type = new RegExp(`^# TYPE ${name} (counter|gauge|histogram|info)$`).exec(
        lines[++at] ?? "",
      )?.[1];
      assert.ok(type !== undefined, `no type behind ${line}`);
      assert.ok(!families.some((other) => other.name === name), `${name} stands there twice`);
      assert.ok(form === "openmetrics" || type !== "info", "the old format has no info");
      families.push({ name, type, help: words, samples: [] });
      continue;
    }
    const family = families.at(-1);
    assert.ok(family !== undefined, `no family for ${line}`);
    const sample = readSample(line);
    const known = form === "plain" ? [""] : SUFFIXES[family.type] ?? [];
    const suffixes = family.type === "histogram" ? SUFFIXES["histogram"] ?? [] : known;
    assert.ok(suffixes.some((suffix) => sample.name === family.name + suffix), line);
    family.samples.push(sample);
  }
  families.forEach(checkFamily);
  return families;
}

function readSample(line: string): Sample {
  const [, name = "", , inner, value = ""] =
    /^([a-zA-Z_:][\w:]*)(\{([^]*)\})? (-?\d+(?:\.\d+)?(?:e[-+]\d+)?)$/.exec(line) ??
      assert.fail(line);
  const labels: Record<string, string> = {};
  const pair = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)/gy;
  const text = inner ?? "";
  while (pair.lastIndex < text.length) {
    const [, label = "", raw = ""] = pair.exec(text) ?? assert.fail(`labels of ${line}`);
    assert.ok(!(label in labels), `${label} stands twice in ${line}`);
    labels[label] = raw.replace(/\\([^])/g, (_, char) => char === "n" ? "\n" : char);
  }
  return { name, labels, value: Number(value) };
}

function checkFamily({ name, type, samples }: Family): void {
  const keys = samples.map((one) =>
    `${one.name} ${JSON.stringify(Object.entries(one.labels).sort())}`
  );
  assert.equal(new Set(keys).size, keys.length, `${name} has a sample twice`);
  if (type === "counter") samples.forEach(({ value }) => assert.ok(value >= 0, name));
  if (type !== "histogram") return;
  const series = Map.groupBy(samples, ({ labels: { le: _, ...rest } }) => JSON.stringify(rest));
  for (const [labels, all] of series) {
    const buckets = all.filter((one) => one.name.endsWith("_bucket"));
    const bounds = buckets.map((one) => one.labels["le"] ?? assert.fail("a bucket without le"));
    assert.equal(bounds.at(-1), "+Inf", name + labels);
    bounds.slice(0, -1).forEach((bound) => assert.match(bound, /^\d+\.\d+$/, "canonical floats"));
    const numbers = bounds.slice(0, -1).map(Number);
    assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b));
    const counts = buckets.map(({ value }) => value);
    assert.deepEqual(counts, counts.toSorted((a, b) => a - b), "buckets add up");
    const count = all.find((one) => one.name.endsWith("_count"))?.value;
    assert.equal(counts.at(-1), count);
    assert.ok(all.some((one) => one.name.endsWith("_sum")), "a sum");
  }
}

/** The value of the one sample that has these labels, whatever others it has. */
export function valueOf(
  families: readonly Family[],
  name: string,
  labels: Readonly<Record<string, string>>,
): number | undefined {
  const found = families.flatMap(({ samples }) => samples).filter((one) =>
    one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value)
  );
  assert.ok(found.length <= 1, `${name} ${JSON.stringify(labels)} is not one sample`);
  return found[0]?.value;
}
