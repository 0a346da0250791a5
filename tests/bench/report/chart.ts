/**
 * A run as a picture: for each work how Portico stands to the best of its peers, on an axis where twice
 * as fast and half as fast lie equally far from even. Text and colours follow the reader's light or dark
 * scheme; nothing is fetched. Pure.
 */
import type { Standing } from "./bars.ts";

type Titles = Readonly<Record<string, string>>;

const WIDTH = 860;
const LABEL = 330;
const RIGHT = 60;
const LINE = 20;
const HEAD = 26;
const TOP = 58;
/** The axis, in powers of two: a quarter to four times. What lies beyond is cut, its number is not. */
const REACH = 2;

const STYLE = `
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f; }
.title { font-size: 15px; font-weight: 600; }
.head { font-weight: 600; }
.soft { fill: #57606a; }
.grid { stroke: #d0d7de; }
.even { stroke: #57606a; stroke-width: 1.5; }
.ahead { fill: #2da44e; }
.behind { fill: #bf8700; }
.spread { stroke: #24292f; stroke-opacity: .55; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .soft { fill: #8d96a0; }
  .grid { stroke: #30363d; }
  .even { stroke: #8d96a0; }
  .ahead { fill: #3fb950; }
  .behind { fill: #d29922; }
  .spread { stroke: #e6edf3; }
}`;

/** `titles` has the words for each suite's name, `footnote` what the reader should know of the machine. */
export function chart(standings: readonly Standing[], titles: Titles, footnote: string): string {
  const parts: string[] = [];
  let y = TOP;
  let suite: string | undefined;
  for (const standing of standings) {
    if (standing.suite !== suite) {
      suite = standing.suite;
      y += HEAD;
      parts.push(text(12, y - 7, titles[suite] ?? suite, "head"));
    }
    parts.push(line(standing, y));
    y += LINE;
  }
  const height = y + 34;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Portico beside the best peer of each work">
<style>${STYLE}
</style>
${text(12, 24, "Portico beside the best peer of each work", "title")}
${
    text(
      12,
      42,
      "1 is even, further right is better. Thin lines: the lowest and the highest round.",
      "soft",
    )
  }
${axis(y)}
${parts.join("\n")}
${text(12, height - 10, footnote, "soft")}
</svg>
`;
}

/** Where a ratio lies. */
function xOf(ratio: number): number {
  const power = Math.max(-REACH, Math.min(REACH, Math.log2(ratio)));
  return round(LABEL + (power + REACH) / (2 * REACH) * (WIDTH - LABEL - RIGHT));
}

function axis(bottom: number): string {
  const ticks = [0.25, 0.5, 1, 2, 4].map((ratio) => {
    const x = xOf(ratio);
    const kind = ratio === 1 ? "even" : "grid";
    return `<line class="${kind}" x1="${x}" y1="${TOP + 6}" x2="${x}" y2="${bottom}"/>` +
      text(x, TOP, String(ratio), "soft", "middle");
  });
  return ticks.join("\n");
}

function line(standing: Standing, y: number): string {
  const { label, connections, unit, best, ratio, spread } = standing;
  const [from, to] = [Math.min(xOf(1), xOf(ratio)), Math.max(xOf(1), xOf(ratio))];
  const middle = y + LINE / 2;
  const clients = unit === "requests/s" ? `, ${connections} clients` : "";
  const end = Math.max(to, xOf(spread.max)) + 6;
  return `<rect class="${ratio >= 1 ? "ahead" : "behind"}" x="${from}" y="${y + 4}" ` +
    `width="${round(Math.max(to - from, 1))}" height="${LINE - 8}" rx="2"/>` +
    `<line class="spread" x1="${xOf(spread.min)}" y1="${middle}" x2="${
      xOf(spread.max)
    }" y2="${middle}"/>` +
    text(24, middle + 4, `${label}${clients}`) +
    text(LABEL - 12, middle + 4, best, "soft", "end") +
    text(end, middle + 4, ratio.toFixed(2));
}

function text(x: number, y: number, content: string, kind = "", anchor = "start"): string {
  const classes = kind === "" ? "" : ` class="${kind}"`;
  const place = anchor === "start" ? "" : ` text-anchor="${anchor}"`;
  return `<text x="${round(x)}" y="${round(y)}"${classes}${place}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
