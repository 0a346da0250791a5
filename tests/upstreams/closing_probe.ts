/** Plays plays (play.ts) as an application behind uwsgi or SCGI, in the test's own process. */
import {
  type ClosingCall,
  type ClosingProtocolName,
  type ClosingResponder,
  serveClosing,
} from "./closing_responder.ts";
import { filling, parsePlay, sha256, type Step } from "./play.ts";

export function serveClosingProbe(protocol: ClosingProtocolName): Promise<ClosingResponder> {
  return serveClosing(protocol, playAll);
}

async function playAll(call: ClosingCall): Promise<void> {
  const { variables } = call;
  for (const step of parsePlay(variables.get("PLAY") ?? variables.get("HTTP_X_PLAY") ?? "")) {
    if (step.do === "exit") return;
    await play(call, step);
  }
}

async function play(call: ClosingCall, step: Step): Promise<void> {
  const progress = call.variables.get("PROGRESS") ?? "/dev/null";
  switch (step.do) {
    case "say":
      return await call.write(step.value);
    case "log":
      // There is no error stream.
      return;
    case "wait":
      return await delay(Number(step.value) * 1000, call.signal);
    case "fill":
      return await call.write(filling(Number(step.value)));
    case "flood":
      for (let block = 0; block < Number(step.value); block++) {
        await call.write(new Uint8Array(2 ** 20));
        await Deno.writeTextFile(progress, ".", { append: true });
      }
      return;
    case "mark":
      return await Deno.writeTextFile(progress, `${step.value}\n`, { append: true });
    case "echo":
      for await (const piece of call.body) await call.write(piece);
      return;
    case "measure":
      return await call.write(
        await sha256(new Uint8Array(await new Response(call.body).arrayBuffer())),
      );
    case "environ":
      return await call.write(
        [...call.variables].map(([name, value]) => `${name}=${value}\0`).join(""),
      );
    case "die":
      call.reset();
      return await delay(60_000, call.signal);
    case "hang":
      return await delay(60_000, call.signal);
    case "exit":
      return;
    default:
      return step satisfies never;
  }
}

/** Rejects as soon as the gateway has left. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
