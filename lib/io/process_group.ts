/**
 * Ends a process group: TERM, a grace period, KILL. A group lives on when its leader is gone, so it is
 * the group that is waited for; its id is not given to anybody else as long as it has a member.
 *
 * To signal a group takes `--allow-run` without a list.
 */

/** How often the group is looked at. */
const POLL_MS = 20;
/** How long the dead may lie about: whose parent is gone is buried by init, in its own time. */
const BURIAL_MS = 500;

/** Sends a signal to all of a group; false: there is no such group (any more, or yet). */
export function signalGroup(leader: number, name: Deno.Signal): boolean {
  try {
    Deno.kill(-leader, name);
    return true;
  } catch {
    return false;
  }
}

/**
 * Ends the group of a process that was not yet waited for; resolves when nobody is left in it. One that
 * has just been started may not lead its group yet: then it is alone, and the signal is for it.
 */
export async function endGroup(leader: number, graceMs: number): Promise<void> {
  if (!signalGroup(leader, "SIGTERM")) return endAlone(leader);
  if (await isGone(leader, graceMs)) return;
  signalGroup(leader, "SIGKILL");
  await isGone(leader, BURIAL_MS);
}

function endAlone(pid: number): void {
  try {
    // It is still setsid, and has nothing to clean up.
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has exited.
  }
}

/** Looks with SIGCONT, which also lets those end that were stopped. */
async function isGone(leader: number, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms;
  while (signalGroup(leader, "SIGCONT")) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return true;
}
