/**
 * The text that Prometheus reads, in either of its two forms: OpenMetrics 1.0, and the older format 0.0.4
 * for those who do not ask for it. They differ in the names of counters' families, in types that the
 * older one does not know, and in the line at the end.
 */
import type { Histogram } from "./histogram.ts";

export type Labels = Readonly<Record<string, string | number | undefined>>;

const OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN = "text/plain; version=0.0.4; charset=utf-8";

export class Exposition {
  readonly #isOpen: boolean;
  #text = "";
  #family = "";

  /** `accept`: the request's field. */
  constructor(accept: string | null) {
    this.#isOpen = accept?.includes("application/openmetrics-text") ?? false;
  }

  get contentType(): string {
    return this.#isOpen ? OPENMETRICS : PLAIN;
  }

  /** The whole text. */
  end(): string {
    return this.#isOpen ? `${this.#text}# EOF\n` : this.#text;
  }

  /** Samples that follow belong to it until the next family. */
  family(name: string, type: "counter" | "gauge" | "histogram" | "info", help: string): void {
    this.#family = name;
    const suffix = type === "counter" ? "_total" : type === "info" ? "_info" : "";
    const named = this.#isOpen ? name : name + suffix;
    const known = type === "info" && !this.#isOpen ? "gauge" : type;
    this.#text += `# HELP ${named} ${escapeHelp(help)}\n# TYPE ${named} ${known}\n`;
  }

  gauge(labels: Labels, value: number): void {
    this.#sample("", labels, value);
  }

  counter(labels: Labels, value: number): void {
    this.#sample("_total", labels, value);
  }

  info(labels: Labels): void {
    this.#sample("_info", labels, 1);
  }

  histogram(labels: Labels, { bounds, counts, sum }: Histogram): void {
    let below = 0;
    for (let at = 0; at < counts.length; at++) {
      below += counts[at] ?? 0;
      const bound = bounds[at];
      this.#sample(
        "_bucket",
        { ...labels, le: bound === undefined ? "+Inf" : float(bound) },
        below,
      );
    }
    this.#sample("_sum", labels, sum);
    this.#sample("_count", labels, below);
  }

  #sample(suffix: string, labels: Labels, value: number): void {
    const pairs = Object.entries(labels)
      // An empty label is none.
      .filter(([, text]) => text !== undefined && text !== "")
      .map(([name, text]) => `${name}="${escapeLabel(String(text))}"`);
    const all = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
    this.#text += `${this.#family}${suffix}${all} ${value}\n`;
  }
}

/** OpenMetrics asks for a point or an exponent in bounds, so that equal ones are equal as text. */
function float(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
