/** What a run leaves behind: results.json, the tables, the chart, and the configurations of all who took part. */
import type { Results } from "./model.ts";
import { standings } from "./report/bars.ts";
import { chart } from "./report/chart.ts";
import { report } from "./report/table.ts";
import { SUITES } from "./suites/mod.ts";

export const TITLES: Readonly<Record<string, string>> = Object.fromEntries(
  SUITES.map(({ name, title }) => [name, title]),
);

export async function writeResults(folder: string, results: Results): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/results.json`, JSON.stringify(results, undefined, 1) + "\n");
  await draw(folder, results);
}

/** The tables and the chart anew, from the results alone. */
export async function draw(folder: string, results: Results): Promise<void> {
  const { machine, date } = results;
  const footnote = `${date}, ${machine.cores} cores, ${machine.kernel}, ` +
    `Deno ${machine.versions["Deno"] ?? "?"}; one worker each`;
  await Deno.writeTextFile(`${folder}/results.md`, report(results, TITLES));
  await Deno.writeTextFile(
    `${folder}/chart.svg`,
    chart(standings(results.rows), TITLES, footnote),
  );
}

/** What a stranger needs to start the same servers: configurations, and the command lines. */
const KEPT = /^(commands|Caddyfile|.+\.(conf|yaml|ts))$/;
const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** Copies them, with `$DIR` and `$PORTICO` for the folders of this machine. */
export async function keepConfigurations(from: string, to: string): Promise<void> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(from)) {
    if (isDirectory) await keepConfigurations(`${from}/${name}`, `${to}/${name}`);
    if (!isFile || !KEPT.test(name)) continue;
    await Deno.mkdir(to, { recursive: true });
    const text = await Deno.readTextFile(`${from}/${name}`);
    const places = text.replaceAll(/\/tmp\/pb-[^/\s"]+/g, "$DIR").replaceAll(ROOT, "$PORTICO")
      .replaceAll(Deno.execPath(), "deno");
    await Deno.writeTextFile(`${to}/${name}`, places);
  }
}
