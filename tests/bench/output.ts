/** What a run leaves behind: results.json, the tables, the chart, and the configurations of all who took part. */
import type { Results } from "./model.ts";
import { standings } from "./report/bars.ts";
import { chart } from "./report/chart.ts";
import { report } from "./report/table.ts";
import { SUITES } from "./suites/mod.ts";

export const TITLES: Readonly<Record<string, string>> = Object.fromEntries(
  SUITES.map(({ name, title }) => [name, title]),
);

export async function writeResults(
  folder: string,
  results: Results,
  configurations: string,
): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/configurations.txt`, configurations);
  await Deno.writeTextFile(`${folder}/results.json`, JSON.stringify(results, undefined, 1) + "\n");
  await draw(folder, results);
}

/** The tables and the chart anew, from the results alone. */
export async function draw(folder: string, results: Results): Promise<void> {
  const { machine, date } = results;
  const footnote = `${date}, ${machine.cores} cores, ${machine.kernel}, ` +
    `Deno ${machine.versions["Deno"] ?? "?"}; one worker each`;
  await Deno.writeTextFile(`${folder}/results.md`, report(results, TITLES));
  // One client alone tells of latency, which the tables have.
  const shown = standings(results.rows)
    .filter(({ unit, connections }) => unit !== "requests/s" || connections > 1);
  await Deno.writeTextFile(`${folder}/chart.svg`, chart(shown, TITLES, footnote));
}

/** What a stranger needs to start the same servers: configurations, and the command lines. */
const KEPT = /^(commands|Caddyfile|.+\.(conf|yaml|ts|php))$/;
const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
/** Longer ones are the same line over and over. */
const MOST_LINES = 60;

/** All of a suite in one text, with `$DIR` and `$PORTICO` for the folders of this machine. */
export async function configurationsOf(suite: string, folder: string): Promise<string> {
  const parts: string[] = [];
  const entries = await Array.fromAsync(Deno.readDir(folder));
  for (const { name, isDirectory, isFile } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = `${folder}/${name}`;
    if (isDirectory) parts.push(await configurationsOf(`${suite}/${name}`, path));
    if (!isFile || !KEPT.test(name)) continue;
    parts.push(`=== ${suite}/${name}\n\n${shown(await Deno.readTextFile(path))}\n`);
  }
  return parts.join("");
}

function shown(text: string): string {
  const lines = text.replaceAll(/\/tmp\/pb-[^/\s"]+/g, "$DIR").replaceAll(ROOT, "$PORTICO")
    .replaceAll(Deno.execPath(), "deno").trimEnd().split("\n");
  const left = lines.length - MOST_LINES;
  return left <= 0
    ? `${lines.join("\n")}\n`
    : `${lines.slice(0, MOST_LINES).join("\n")}\n... and ${left} more lines\n`;
}
