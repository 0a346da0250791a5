/**
 * The result of the application inside, in a middleware's hands (PEP 3333, "Middleware Handling of Block
 * Boundaries" and "Specification Details").
 *
 * Two traps: a generator that was never begun runs no `finally`, and one that waits for its next value
 * runs none until that has come. So what a middleware returns has a close() of its own, which is called
 * whatever happens, and ends the result inside at once.
 */
import type { AppResult } from "../protocol/wsgi.ts";

/** The values of a result, whatever kind of iterable it is. */
export type Values = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** What `draw` makes of a result's values, with that result's end. */
export function drawnFrom(
  result: AppResult,
  draw: (values: Values) => AsyncGenerator<Uint8Array>,
): AppResult {
  const end = () => result.close?.();
  if (!(result instanceof ReadableStream)) return Object.assign(draw(result), { close: end });
  const reader = result.getReader();
  const close = async () => {
    await reader.cancel();
    await end();
  };
  return Object.assign(draw(valuesOf(reader)), { close });
}

/** Closes a result that comes to nothing, for a reason that counts for more than how it closes. */
export async function abandon(result: AppResult): Promise<void> {
  try {
    await result.close?.();
    if (result instanceof ReadableStream && !result.locked) await result.cancel();
  } catch {
    // The reason is told, and there is nobody to tell of a second one.
  }
}

async function* valuesOf(reader: ReadableStreamDefaultReader<Uint8Array>) {
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}
