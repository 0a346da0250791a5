/**
 * Half a table may be a table, too, with fewer routes: one that is being written is not read until it has
 * stayed the same for a moment.
 */
const QUIET_MS = 100;
const PATIENCE_MS = 3000;
/** What was last changed so long ago is not being written. */
const OLD_MS = 1000;

export async function settled(path: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  let seen = await look(path);
  if (Date.now() - seen.changedMs > OLD_MS) return;
  while (performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    const now = await look(path);
    if (now.size === seen.size && now.changedMs === seen.changedMs) return;
    seen = now;
  }
}

async function look(path: string): Promise<{ readonly changedMs: number; readonly size: number }> {
  try {
    const { mtime, size } = await Deno.stat(path);
    return { changedMs: mtime?.getTime() ?? 0, size };
  } catch {
    // It is being replaced, or gone: whoever reads it will say so.
    return { changedMs: Date.now(), size: -1 };
  }
}
