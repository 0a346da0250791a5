/**
 * The folder in which a gateway's spawned programs listen. Its name follows from the configuration
 * file's, because permissions for sockets are granted by name; two gateways may serve the same file, so
 * each claims a numbered slot in it, by a lock that the system takes back even from a killed process.
 */

const SLOTS = 64;

/** A claimed slot; disposing it removes its folder if nothing is left inside. */
export interface RunDir extends AsyncDisposable {
  readonly path: string;
}

/** The folder that the first gateway of a configuration file claims; permissions name this one. */
export function firstSlot(runDir: string): string {
  return `${runDir}/0`;
}

/**
 * Claims the first free slot.
 * @throws {Error} when none is free, or none for which permission is granted.
 */
export async function claimRunDir(runDir: string): Promise<RunDir> {
  for (let slot = 0; slot < SLOTS; slot++) {
    const path = `${runDir}/${slot}`;
    try {
      const claimed = await claim(path);
      if (claimed !== undefined) return claimed;
    } catch (error) {
      if (slot === 0 || !(error instanceof Deno.errors.NotCapable)) throw error;
      break;
    }
  }
  throw new Error(
    `Every run folder in ${runDir} that this gateway may use is taken: another one serves this file. ` +
      `Stop it, or set server.runDir to a folder of this one's own`,
  );
}

async function claim(path: string): Promise<RunDir | undefined> {
  await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  const lockPath = `${path}/lock`;
  const lock = await Deno.open(lockPath, { create: true, write: true, mode: 0o600 });
  if (!await lock.tryLock(true)) {
    lock.close();
    return undefined;
  }
  return {
    path,
    async [Symbol.asyncDispose]() {
      // The lock's file stays: removing it would let a third gateway lock a new file of that name
      // while a second one holds the old. It is empty, and there is one a slot.
      await lock.unlock();
      lock.close();
      await Promise.resolve();
    },
  };
}
