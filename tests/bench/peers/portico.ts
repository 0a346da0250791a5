/** Portico itself over a table written for the occasion, and the bare runtime that it stands on. */
import type { Contender } from "../model.ts";
import { descendants, launch } from "../processes.ts";

const ROOT = new URL("../../..", import.meta.url).pathname.replace(/\/$/, "");

export interface PorticoOptions {
  readonly name?: string;
  readonly workers?: number;
}

/** `routes` are lines of YAML, those below `routes:`. */
export function portico(
  routes: string,
  { name = "Portico", workers = 1 }: PorticoOptions = {},
): Contender {
  return {
    name,
    needs: [],
    async start(folder, port) {
      const more = workers === 1 ? "" : `, workers: ${workers}`;
      const server = `{listen: "127.0.0.1:${port}", accessLog: off, spoolQuota: 4GiB${more}}`;
      const table = `${folder}/routes.yaml`;
      await Deno.writeTextFile(table, `server: ${server}\nroutes:\n${routes}\n`);
      const { pid, stop } = launch(folder, Deno.execPath(), [
        ...["run", "-A", "--no-check", `${ROOT}/main.ts`, "serve", "--config", table],
      ]);
      return {
        origin: `http://127.0.0.1:${port}`,
        // Of a gateway with workers all that descends from it counts as the server.
        pids: () => workers === 1 ? [pid] : [pid, ...descendants(pid)],
        // Python's processes and the like, where the table has them.
        upstream: () => workers === 1 ? descendants(pid) : [],
        stop,
      };
    },
  };
}

/** Two of each contender where the table knows `server.workers`; else none. */
export function withTwoWorkers(...contenders: readonly Contender[]): readonly Contender[] {
  return knowsWorkers() ? contenders : [];
}

/** What the published schema says: the suite is to run with older tables too. */
function knowsWorkers(): boolean {
  const file = new URL("../../../lib/config/routes.schema.json", import.meta.url);
  const schema: unknown = JSON.parse(Deno.readTextFileSync(file));
  return ["properties", "server", "properties", "workers"].reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined,
    schema,
  ) !== undefined;
}

/** A bare `Deno.serve` hello: the runtime's own speed. */
export function bareServe(): Contender {
  return {
    name: "bare Deno.serve",
    needs: [],
    async start(folder, port) {
      const file = `${folder}/bare.ts`;
      await Deno.writeTextFile(
        file,
        `const body = new TextEncoder().encode("Hello, world!\\n");
const headers: [string, string][] = [["content-type", "text/plain"]];
Deno.serve(
  { hostname: "127.0.0.1", port: ${port}, onListen() {} },
  () => new Response(body, { headers }),
);
`,
      );
      const { pid, stop } = launch(folder, Deno.execPath(), ["run", "-A", "--no-check", file]);
      return { origin: `http://127.0.0.1:${port}`, pids: () => [pid], stop };
    },
  };
}
