/**
 * What runs in a worker (`server.workers`): a whole gateway, which takes its orders from the main process
 * and hands it its log. Started by member.ts.
 */
import type { Registry } from "../config/kinds.ts";
import { parseTableBy } from "../config/load.ts";
import { GatewayError } from "../errors.ts";
import type { Ground } from "../generation.ts";
import { containFaults } from "../observe/contain.ts";
import { Log } from "../observe/log.ts";
import { Server } from "../server.ts";
import { Shares } from "../shares.ts";
import { Sweeper } from "../sweeper.ts";
import { LenderByLine } from "./borrowing.ts";
import { type Line, openLine } from "./line.ts";
import type { Order, ToWorker, WorkerSetup } from "./messages.ts";

/** How long requests may take to end when the main process has gone without a word. */
const ORPHAN_MS = 2500;

/** Serves until it is told to stop, or nobody is there any more who could; gives the exit status. */
export async function work(registry: Registry): Promise<number> {
  // Those go to whole groups of processes; what is to be done the main process says.
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"] as const) {
    Deno.addSignalListener(name, () => {});
  }
  const line = openLine();
  const lender = new LenderByLine(line.post);
  const early: ToWorker[] = [];
  let worker: Worker | undefined;
  for await (const message of line.messages()) {
    switch (message[0]) {
      case "start":
        start(message[1], { line, lender, registry }).then((started) => {
          worker = started;
          for (const missed of early) worker.take(missed);
        }, (error) => line.post(["refused", messageOf(error)]));
        break;
      case "opened":
      case "lend":
      case "recall":
      case "withdraw":
        lender.hear(message);
        break;
      default:
        if (worker === undefined) early.push(message);
        else worker.take(message);
    }
  }
  await worker?.abandon();
  return 1;
}

interface Tools {
  readonly line: Line;
  readonly lender: LenderByLine;
  readonly registry: Registry;
}

async function start({ part, order }: WorkerSetup, { line, lender, registry }: Tools) {
  const { source, listen } = order;
  const table = await parseTableBy(registry, source.text, source);
  const log = new Log(table.server.accessLog, line.target("o"), line.target("e"));
  const contained = containFaults(log);
  // An application may end the process (Deno.exit).
  addEventListener("unload", () => log.flushAtEnd());
  const ground: Ground = {
    log,
    sweeper: new Sweeper(),
    shares: new Shares(),
    spare: source.path,
    contained,
    part,
    lender,
  };
  try {
    const server = await Server.start(table, listen, ground);
    line.post(["ready", server.addresses]);
    return new Worker(server, ground, { line, registry });
  } catch (error) {
    await log.flush();
    throw error;
  }
}

/** Carries out orders one after another, as the main process gives them. */
class Worker {
  readonly #server: Server;
  readonly #ground: Ground;
  readonly #line: Line;
  readonly #registry: Registry;
  #agreement: PromiseWithResolvers<void> | undefined;

  constructor(server: Server, ground: Ground, { line, registry }: Omit<Tools, "lender">) {
    this.#server = server;
    this.#ground = ground;
    this.#line = line;
    this.#registry = registry;
  }

  take(message: ToWorker): void {
    const { post } = this.#line;
    switch (message[0]) {
      case "prepare":
        return void this.#reload(message[1]);
      case "commit":
        return this.#agreement?.resolve();
      case "abandon":
        return this.#agreement?.reject(new Error("Another worker could not"));
      case "look":
        return post(["alive"]);
      case "report":
        return void this.#server.report().then((report) => post(["reported", report]));
      case "purge":
        return void this.#server.purge(message[1]).then((count) => post(["purged", count]));
      case "reopen":
        return this.#ground.log.reopen();
      case "stop":
        return void this.#server.stop().then(() => post(["stopped"]));
    }
  }

  /** Nobody gives orders any more. */
  async abandon(): Promise<void> {
    this.#ground.sweeper.cutAll(new GatewayError(503, "shutting-down", "The server has ended"));
    const late = new Promise((resolve) => setTimeout(resolve, ORPHAN_MS));
    await Promise.race([this.#server.stop(), late]);
  }

  async #reload({ source, listen }: Order): Promise<void> {
    const { post } = this.#line;
    const agreement = Promise.withResolvers<void>();
    agreement.promise.catch(() => {});
    this.#agreement = agreement;
    try {
      const table = await parseTableBy(this.#registry, source.text, source);
      await this.#server.reload(table, listen, () => {
        post(["prepared"]);
        return agreement.promise;
      });
      post(["committed"]);
    } catch (error) {
      post(["refused", messageOf(error)]);
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
