/** Plays plays (play.ts) as a FastCGI application, in the test's own process. */
import type { ByteString } from "../../lib/exchange.ts";
import { type FcgiCall, serveFastcgi } from "../../lib/welcome/responder.ts";
import { filling, parsePlay, sha256, type Step } from "./play.ts";

export interface FastcgiProbe extends AsyncDisposable {
  /** Plays that go on at this moment. */
  readonly running: number;
  /** What broke rules on the way, but for calls that were aborted. */
  readonly faults: readonly unknown[];
}

/** Listens on a Unix socket and plays what it is told. */
export function serveFastcgiProbe(path: string): FastcgiProbe {
  let running = 0;
  const faults: unknown[] = [];
  const application = async (call: FcgiCall) => {
    running++;
    try {
      return await playAll(call);
    } finally {
      running--;
    }
  };
  const listener = Deno.listen({ transport: "unix", path });
  const responder = serveFastcgi(listener, application, {
    onError: (error) => faults.push(error),
    maxParams: 2 ** 22,
  });
  return {
    faults,
    get running() {
      return running;
    },
    [Symbol.asyncDispose]: () => responder[Symbol.asyncDispose](),
  };
}

async function playAll(call: FcgiCall): Promise<number> {
  const { params } = call;
  for (const step of parsePlay(params.get("PLAY") ?? params.get("HTTP_X_PLAY") ?? "")) {
    if (step.do === "exit") return Number(step.value);
    await play(call, step);
  }
  return 0;
}

async function play(call: FcgiCall, step: Step): Promise<void> {
  const progress = call.params.get("PROGRESS") ?? "/dev/null";
  switch (step.do) {
    case "say":
      return await call.writeStdout(bytesOf(step.value));
    case "log":
      return await call.writeStderr(`${step.value}\n`);
    case "wait":
      return await delay(Number(step.value) * 1000, call.signal);
    case "fill":
      return await call.writeStdout(filling(Number(step.value)));
    case "flood":
      for (let block = 0; block < Number(step.value); block++) {
        await call.writeStdout(new Uint8Array(2 ** 20));
        await Deno.writeTextFile(progress, ".", { append: true });
      }
      return;
    case "mark":
      return await Deno.writeTextFile(progress, `${step.value}\n`, { append: true });
    case "echo":
      for await (const piece of call.stdin) await call.writeStdout(piece);
      return;
    case "measure":
      return await call.writeStdout(
        await sha256(new Uint8Array(await new Response(call.stdin).arrayBuffer())),
      );
    case "environ":
      return await call.writeStdout(bytesOf(environText(call.params)));
    case "die":
      call.peer.close();
      return await delay(60_000, call.signal);
    case "hang":
      return await delay(60_000, call.signal);
    case "exit":
      return;
    default:
      return step satisfies never;
  }
}

function environText(params: ReadonlyMap<string, ByteString>): ByteString {
  return [...params].map(([name, value]) => `${name}=${value}\0`).join("");
}

function bytesOf(text: ByteString): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** Rejects as soon as the call is aborted. */
function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal.addEventListener("abort", abort, { once: true });
  });
}
