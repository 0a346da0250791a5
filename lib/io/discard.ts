/** Ends bodies that nobody wants, without ending the programs that are about to end by themselves. */
import type { ByteSource, ReplyBody } from "../exchange.ts";

/** Longer than a program takes to exit that has said all it has to say. */
const PATIENCE_MS = 2000;
const MAX_DISCARDED = 65_536;

/** Reads what little is left of a body and drops it; cancels one that is longer or takes its time. */
export async function discard(body: ReplyBody, why: string): Promise<void> {
  if (body === null || body instanceof Uint8Array) return;
  await drain(body, why);
}

async function drain(body: ByteSource, why: string): Promise<void> {
  let isOver = false;
  const end = () => {
    if (isOver) return;
    isOver = true;
    body.cancel(new Error(why));
  };
  const timer = setTimeout(end, PATIENCE_MS);
  try {
    let left = MAX_DISCARDED;
    while (!isOver) {
      const piece = await body.read();
      if (piece === undefined) break;
      left -= piece.length;
      if (left < 0) end();
    }
  } catch {
    // It failed where nobody could see it.
  }
  isOver = true;
  clearTimeout(timer);
}
