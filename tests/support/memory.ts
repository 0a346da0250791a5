/** What a process takes of memory while something happens. Linux alone. */

/** How far the resident memory of a process rises, at its peak, above where it was: in bytes. */
export async function growthOf(pid: number, work: () => Promise<void>): Promise<number> {
  // The peak so far is forgotten (proc(5), clear_refs).
  await Deno.writeTextFile(`/proc/${pid}/clear_refs`, "5");
  const before = await read(pid, "VmRSS");
  await work();
  return await read(pid, "VmHWM") - before;
}

async function read(pid: number, field: string): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const kib = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
  if (kib === undefined) throw new Error(`/proc/${pid}/status has no ${field}`);
  return Number(kib) * 1024;
}
