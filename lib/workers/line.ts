/** A worker's line to the main process: its standard output, which it takes for frames, and its input. */
import { decodeMessage, encodeFrame, encodeMessage, FrameDecoder } from "./frames.ts";
import type { LogTarget } from "../observe/line_writer.ts";
import type { ToMain, ToWorker } from "./messages.ts";

export interface Line {
  post(message: ToMain): void;
  /** Messages in order; ends with the main process. */
  messages(): AsyncGenerator<ToWorker>;
  /** A log's way to a stream of the main process. */
  target(stream: "o" | "e"): LogTarget;
}

/** Writes at once: what was said before an application ends the process has been said. */
export function openLine(): Line {
  const write = (bytes: Uint8Array) => {
    try {
      for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
    } catch {
      // The main process has ended; so will its messages.
    }
  };
  const target = (stream: "o" | "e") => {
    const writeSync = (bytes: Uint8Array) => {
      write(encodeFrame(stream, bytes));
      return bytes.length;
    };
    return { writeSync, write: (bytes: Uint8Array) => Promise.resolve(writeSync(bytes)) };
  };
  return { post: (message) => write(encodeMessage(message)), messages, target };
}

async function* messages(): AsyncGenerator<ToWorker> {
  const decoder = new FrameDecoder();
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const count = await Deno.stdin.read(buffer);
    if (count === null) return;
    for (const frame of decoder.push(buffer.subarray(0, count))) {
      if (frame.type === "m") yield decodeMessage<ToWorker>(frame);
    }
  }
}
