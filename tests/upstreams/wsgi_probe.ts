/** Plays plays (play.ts) as a WSGI application. Its head is said in CGI's form, as by all probes. */
import type { ByteString } from "../../lib/exchange.ts";
import type { Application, Environ, FieldPair, StartResponse } from "../../lib/protocol/wsgi.ts";
import { filling, parsePlay, sha256, type Step } from "./play.ts";

/** Plays that go on at this moment, by the port of their server. */
const running = new Map<string, number>();

export function runningPlays(port: number): number {
  return running.get(String(port)) ?? 0;
}

const application: Application = (environ, startResponse) => playAll(environ, startResponse);
export default application;

async function* playAll(
  environ: Environ,
  startResponse: StartResponse,
): AsyncGenerator<Uint8Array> {
  const { SERVER_PORT } = environ;
  count(SERVER_PORT, 1);
  try {
    const words = environ["PLAY"] ?? environ["HTTP_X_PLAY"] ?? "";
    let begun = false;
    for (const step of parsePlay(String(words))) {
      if (step.do === "exit") return;
      if (step.do === "say" && !begun) {
        begun = true;
        yield begin(step.value, startResponse);
      } else yield* play(environ, step);
    }
  } finally {
    count(SERVER_PORT, -1);
  }
}

function count(port: string, change: number): void {
  running.set(port, (running.get(port) ?? 0) + change);
}

/** Starts the response; gives what follows the head. */
function begin(text: ByteString, startResponse: StartResponse): Uint8Array {
  const end = text.indexOf("\n\n") + 1;
  const fields = text.slice(0, end).split("\n").filter((line) => line !== "")
    .map((line): FieldPair => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    });
  const status = fields.find(([name]) => name === "Status")?.[1] ?? "200 OK";
  startResponse(status, fields.filter(([name]) => name !== "Status"));
  return bytesOf(text.slice(end + 1));
}

async function* play(environ: Environ, step: Step): AsyncGenerator<Uint8Array> {
  const signal = environ["portico.signal"];
  const input = environ["wsgi.input"];
  const progress = String(environ["PROGRESS"] ?? "/dev/null");
  switch (step.do) {
    case "say":
      return yield bytesOf(step.value);
    case "log":
      return environ["wsgi.errors"].write(`${step.value}\n`);
    case "wait":
      return await delay(Number(step.value) * 1000, signal);
    case "fill":
      return yield filling(Number(step.value));
    case "flood":
      for (let block = 0; block < Number(step.value); block++) {
        yield new Uint8Array(2 ** 20);
        await Deno.writeTextFile(progress, ".", { append: true });
      }
      return;
    case "mark":
      return await Deno.writeTextFile(progress, `${step.value}\n`, { append: true });
    case "echo":
      return yield* input;
    case "measure":
      return yield bytesOf(await sha256(await input.read()));
    case "environ":
      return yield bytesOf(environText(environ));
    case "die":
      throw new Error("died");
    case "hang":
      return await delay(60_000, signal);
    case "exit":
      return;
    default:
      return step satisfies never;
  }
}

function environText(environ: Environ): ByteString {
  const variables = Object.entries(environ).filter(([name]) => !name.includes("."));
  return variables.map(([name, value]) => `${name}=${value}\0`).join("");
}

function bytesOf(text: ByteString): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** Rejects as soon as the work has become pointless. */
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
