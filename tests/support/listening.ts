/** A whole server inside the test, on the very addresses of its table. */
import { parseTable } from "../../lib/config/load.ts";
import type { Ground } from "../../lib/generation.ts";
import { kinds } from "./kinds.ts";
import { Log } from "../../lib/observe/log.ts";
import { Server } from "../../lib/server.ts";
import { Shares } from "../../lib/shares.ts";
import { Sweeper } from "../../lib/sweeper.ts";

export interface Listening {
  readonly server: Server;
  /** All access lines so far. */
  access(): Promise<string>;
  /** All other lines so far. */
  log(): Promise<string>;
  /** Puts another table in place with its addresses, as SIGHUP does. */
  reload(yaml: string): Promise<void>;
}

/** Serves a table while `body` runs; names in it are relative to the folder. */
export async function withServer(
  folder: string,
  yaml: string,
  body: (listening: Listening) => Promise<void>,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const read = (text: string) => parseTable(text, { file: "test.yaml", folder }, kinds);
  const table = read(yaml);
  const out = memory();
  const err = memory();
  const log = new Log(table.server.accessLog, out, err);
  stack.defer(() => log.flush());
  const ground: Ground = { log, sweeper: new Sweeper(), shares: new Shares() };
  stack.defer(() => ground.sweeper.close());
  const server = stack.adopt(
    await Server.start(table, table.server.listen, ground),
    (one) => one.stop(),
  );
  await body({
    server,
    access: async () => (await log.flush(), out.text),
    log: async () => (await log.flush(), err.text),
    reload: (text) => {
      const next = read(text);
      return server.reload(next, next.server.listen);
    },
  });
}

/** Keeps what is logged. */
function memory() {
  const decoder = new TextDecoder();
  return {
    text: "",
    write(bytes: Uint8Array): Promise<number> {
      this.text += decoder.decode(bytes, { stream: true });
      return Promise.resolve(bytes.length);
    },
  };
}
