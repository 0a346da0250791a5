/** A gateway in a process of its own, under limits, with a table in a folder of its own. */
import { childrenOf, descriptorsOf } from "../soak/meter.ts";
import { type Running, startPortico } from "./command.ts";
import { eventually } from "./gateway.ts";
import { tempFolder } from "./peers.ts";

export interface Faulty {
  readonly gateway: Running;
  readonly port: number;
  readonly folder: string;
}

export interface FaultyOptions {
  /** Runs the gateway: `prlimit --nofile=80`. */
  readonly under?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Lines of the table's server. */
  readonly server?: string;
  /** Prepares the folder, before anything starts. */
  prepare?(folder: string): Promise<void>;
}

/** Serves these routes while `body` runs; `FOLDER` in them is the folder. */
export async function withFaulty(
  routes: readonly Record<string, unknown>[],
  options: FaultyOptions,
  body: (faulty: Faulty) => Promise<void>,
): Promise<void> {
  await using temp = await tempFolder();
  const folder = temp.path;
  await Deno.chmod(folder, 0o777);
  await options.prepare?.(folder);
  const { server = "", under = [], env = {} } = options;
  const file = `${folder}/routes.yaml`;
  const head = `server:\n  listen: 127.0.0.1:0\n  accessLog: off\n  runDir: ${folder}/run\n`;
  const table = `${head}${server}routes: ${JSON.stringify(routes)}\n`;
  await Deno.writeTextFile(file, table.replaceAll("FOLDER", folder));
  await using gateway = await startPortico(["serve", "-c", file], { under, env });
  await body({ gateway, port: Number(new URL(gateway.base).port), folder });
}

/** Waits until the gateway has as few descriptors and processes as it had. */
export async function settlesAt(
  { pid }: Running,
  before: { readonly descriptors: number; readonly children: number },
): Promise<void> {
  await eventually(
    () => descriptorsOf(pid) <= before.descriptors && childrenOf(pid).length <= before.children,
    20_000,
    `${before.descriptors} descriptors and ${before.children} processes of ${pid}`,
  );
}

export function takes({ pid }: Running): { descriptors: number; children: number } {
  return { descriptors: descriptorsOf(pid), children: childrenOf(pid).length };
}

/** Waits for a line of the log. */
export async function logged(gateway: Running, pattern: RegExp): Promise<void> {
  await eventually(() => pattern.test(gateway.err()), 15_000, `${pattern} in ${gateway.err()}`);
}
