/**
 * What runs in a worker thread (`isolate: worker`): loads the application, then answers calls. Started by
 * wsgi_worker_thread.ts, with its {@link WorkerSetup}.
 */
import { parentPort, workerData } from "node:worker_threads";
import { Lane, MAX_SHORT } from "../protocol/wsgi_lane.ts";
import { Outbox } from "../protocol/wsgi_outbox.ts";
import type { ToGateway, ToWorker } from "../protocol/wsgi_wire.ts";
import { inlineCallee } from "./wsgi_inline.ts";
import { loadApplication } from "./wsgi_module.ts";
import { postedLog, WorkerCalls } from "./wsgi_worker_calls.ts";
import type { WorkerData } from "./wsgi_worker_setup.ts";

const outbox = new Outbox<ToGateway>((messages, transfer) =>
  parentPort?.postMessage(messages, transfer)
);

let lane: Lane | undefined;

function post(message: ToGateway, transfer?: ArrayBuffer[]): void {
  outbox.post(message, transfer);
  // What is for people is often said last before the end.
  if (message[0] === "log" || message[0] === "notice" || message[0] === "crash") {
    lane?.flush();
    outbox.flush();
  }
}

function answered(call: number, head: readonly string[], body: Uint8Array): boolean {
  // What was said in this turn, such as lines for the log, is not to be overtaken.
  if (lane === undefined || outbox.isOpen || body.length > MAX_SHORT) return false;
  return lane.post(call, head, body);
}

/** What nobody caught ends the worker: nobody knows in what state it left the application. */
function crash(error: unknown): void {
  post(["crash", error instanceof Error ? error.stack ?? error.message : String(error)]);
  Deno.exit(1);
}

function watchForCrashes(): void {
  addEventListener("error", (event) => {
    event.preventDefault();
    crash(event.error);
  });
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    crash(event.reason);
  });
}

/** The thread ends when nothing is left to do. */
function leave(): void {
  parentPort?.unref();
  lane?.close();
}

async function run(
  { app, load, env, routes, multiprocess, lane: memory }: WorkerData,
): Promise<void> {
  // Threads of Node's kind lack the name that web workers have for their global object.
  Object.defineProperty(globalThis, "self", { value: globalThis, configurable: true });
  watchForCrashes();
  const early: ToWorker[] = [];
  let take = (message: ToWorker): void => void early.push(message);
  parentPort?.on("message", (messages: readonly ToWorker[]) => {
    lane?.look();
    for (const message of messages) {
      if (message[0] === "stop") leave();
      take(message);
    }
  });
  try {
    const loaded = await loadApplication(app, load);
    const frozen = Object.freeze(routes.map((route) => Object.freeze(route)));
    const log = postedLog(post);
    const surroundings = { env, routes: frozen, multiprocess, passesOn: false, log };
    const calls = new WorkerCalls(inlineCallee(loaded, surroundings), post, answered);
    lane = new Lane(memory.toWorker, memory.toGateway, {
      take: (call, words, body) => calls.begin(call, words, body === null ? null : body.slice()),
      broken: crash,
    });
    take = (message) => calls.take(message);
    early.forEach(take);
    post(["ready"]);
  } catch (error) {
    post(["refused", error instanceof Error ? error.message : String(error)]);
  }
}

await run(workerData);
