/** A gateway with several workers, as a user runs it (`server.workers`). */
import { type Running, startPortico } from "./command.ts";
import { eventually } from "./gateway.ts";
import { tempFolder, writeScript } from "./peers.ts";

export const APP = `const id = crypto.randomUUID();
export default {
  async fetch(request) {
    const { search } = new URL(request.url);
    if (search === "?exit") Deno.exit(7);
    if (search === "?throw") setTimeout(() => { throw new Error("nobody catches"); });
    if (search === "?print") console.log("a line of mine");
    if (search === "?full") for (const kept = [];;) kept.push(new Array(100_000).fill(Math.random()));
    if (search === "?spin") for (;;);
    if (search === "?pid") return new Response(String(Deno.pid));
    if (search === "?block") for (const end = Date.now() + 7000; Date.now() < end;);
    if (search === "?slow") await new Promise((resolve) => setTimeout(resolve, 700));
    return new Response(id);
  },
};
`;

export interface Site {
  readonly folder: string;
  readonly file: string;
  readonly running: Running;
  write(server: string, routes: string): Promise<void>;
}

/** Runs a gateway while `body` does. */
export async function withWorkers(
  server: string,
  routes: string,
  body: (site: Site) => Promise<void>,
  variables: Readonly<Record<string, string>> = {},
): Promise<void> {
  await using temp = await tempFolder();
  const folder = temp.path;
  const file = `${folder}/routes.yaml`;
  const write = (server: string, routes: string) =>
    Deno.writeTextFile(file, `server: {runDir: ./r, ${server}}\nroutes:\n${routes}\n`);
  await Deno.writeTextFile(`${folder}/app.ts`, APP);
  await writeScript(
    `${folder}/busy.sh`,
    `#!/bin/sh
sleep 1
printf 'Content-Type: text/plain\\n\\ndone'
`,
  );
  await write(server, routes);
  const env = { PORTICO_TEST: folder, ...variables };
  await using running = await startPortico(["-c", file], { env });
  await body({ folder, file, running, write });
}

export const ROUTES = "  - {path: /w, wsgi: ./app.ts}\n  - {path: /v, respond: one}";
export const LISTEN = "listen: 127.0.0.1:0";

/** A request by a connection of its own: the system gives each to any worker. */
export async function ask(url: string): Promise<string> {
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  const response = await fetch(url, { client });
  const text = await response.text();
  return response.ok ? text : `${response.status} ${text}`;
}

export async function answers(url: string, count = 40): Promise<Set<string>> {
  return new Set(await Promise.all(Array.from({ length: count }, () => ask(url))));
}

export async function reload({ running }: Site, word: string): Promise<void> {
  const from = running.err().length;
  running.signal("SIGHUP");
  await eventually(() => running.err().slice(from).includes(word), 20_000, word);
}
