/**
 * `--watch`: looks at files a few times a second and says when one has changed. Their times are looked
 * at, for editors replace files, which a watch on the old one does not see.
 */
const WATCH_MS = 300;
/** Files of one folder that are looked at. */
const MAX_FILES = 2000;
const SOURCE = /\.(?:[cm]?[jt]sx?|json|py)$/;

export class Watch {
  /** Paths, and when what they name was last changed. */
  #stamps = new Map<string, string | undefined>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /**
   * Changes to these paths count from now on: files, and folders whose sources count, deep ones as well.
   * To be called before they are read, or a change in between would be missed.
   */
  follow(paths: readonly string[]): void {
    const known = this.#stamps;
    this.#stamps = new Map(paths.map((path) => [path, known.get(path) ?? stampOf(path)]));
  }

  /** Calls `changed` when anything has. */
  start(changed: () => void): void {
    this.#timer = setInterval(() => this.#look(changed), WATCH_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(tell: () => void): void {
    let changed = false;
    for (const [path, last] of this.#stamps) {
      const now = stampOf(path);
      // What is gone for a moment is being replaced.
      if (now === undefined || now === last) continue;
      this.#stamps.set(path, now);
      changed = true;
    }
    if (changed) tell();
  }
}

/** Differs when anything has changed; undefined if there is nothing. */
function stampOf(path: string): string | undefined {
  try {
    const { isDirectory, mtime } = Deno.statSync(path);
    if (!isDirectory) return timeText(mtime);
    return sourcesBelow(path).map((file) => `${file} ${timeText(Deno.statSync(file).mtime)}`)
      .join();
  } catch {
    return undefined;
  }
}

function timeText(mtime: Date | null): string {
  return String(mtime?.getTime());
}

function sourcesBelow(folder: string): string[] {
  const found: string[] = [];
  const folders = [folder];
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    for (const { name, isDirectory } of Deno.readDirSync(next)) {
      if (name.startsWith(".") || name === "node_modules" || name === "__pycache__") continue;
      if (isDirectory) folders.push(`${next}/${name}`);
      else if (SOURCE.test(name)) found.push(`${next}/${name}`);
      if (found.length >= MAX_FILES) return found;
    }
  }
  return found.sort();
}
