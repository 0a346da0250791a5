/**
 * `init [FOLDER]`: writes a routes.yaml for what lies in a folder, and says what it found. It reads the
 * folder, and /run for sockets where it may; it replaces no file unless told to (`--force`).
 */
import { discover } from "../draft/discover.ts";
import type { Entry, Ground } from "../draft/ground.ts";
import { writeTable } from "../draft/table_text.ts";
import { resolvePath } from "../values.ts";
import { complain, FAULTY, FINE, type Invocation, print, styled, UsageError } from "./command.ts";

const NAME = "routes.yaml";

export async function init({ operands, force }: Invocation): Promise<number> {
  const [given = ".", ...rest] = operands;
  if (rest.length > 0) throw new UsageError("init takes one folder: init ./site");
  const folder = resolvePath(given, Deno.cwd());
  if (!await isFolder(folder)) {
    complain(`portico: Cannot find the folder ${given}`);
    return FAULTY;
  }
  const { findings, table } = discover(groundOf(folder, await findSockets()));
  const file = `${given.replace(/\/+$/, "")}/${NAME}`;
  if (!await write(`${folder}/${NAME}`, writeTable(table), force)) {
    complain(`portico: ${file} is there already: --force replaces it`);
    return FAULTY;
  }
  for (const { what, routes } of findings) {
    print(`${styled("green", "found")} ${what}${routes.length === 0 ? " (no route written)" : ""}`);
  }
  if (findings.length === 0) print("found nothing to serve");
  print(`wrote ${file}: ${table.routes.map(({ fields }) => fields["path"]).join(" ")}`);
  const config = file === `./${NAME}` ? "" : ` --config ${file}`;
  print("");
  print("Next:");
  print(`  main.ts check${config}      is it fit to serve?`);
  print(`  main.ts explain /${config}  what would answer, and what it would get`);
  print(`  main.ts flags${config}      the permissions that serving it takes`);
  print(`  main.ts serve${config}      serve`);
  return FINE;
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false;
  }
}

/** False: there is such a file. */
async function write(path: string, text: string, force: boolean): Promise<boolean> {
  try {
    await Deno.writeTextFile(path, text, { createNew: !force });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}

/** Enough to recognise a file by. */
const HEAD = 64 * 1024;

function groundOf(folder: string, sockets: readonly string[]): Ground {
  return {
    entries: (path) => entriesOf(resolvePath(path, folder)),
    read: (path) => readHead(resolvePath(path, folder)),
    sockets,
  };
}

function entriesOf(folder: string): readonly Entry[] {
  try {
    return Array.from(Deno.readDirSync(folder), ({ name }) => name).toSorted()
      .flatMap((name) => entryOf(folder, name));
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return [];
  }
}

function entryOf(folder: string, name: string): readonly Entry[] {
  try {
    const { isFile, isDirectory, mode } = Deno.statSync(`${folder}/${name}`);
    return [{ name, isFile, isDirectory, isExecutable: ((mode ?? 0) & 0o111) !== 0 }];
  } catch {
    // A link that leads nowhere, or out of what may be read.
    return [];
  }
}

function readHead(path: string): string | undefined {
  try {
    using file = Deno.openSync(path);
    if (!file.statSync().isFile) return undefined;
    const head = new Uint8Array(HEAD);
    const length = file.readSync(head) ?? 0;
    return new TextDecoder().decode(head.subarray(0, length));
  } catch {
    return undefined;
  }
}

/** Where distributions put the sockets of programs that Portico can reach, and how deep. */
const SOCKET_FOLDERS = ["/run/php", "/run/uwsgi", "/run/uwsgi/app"];

async function findSockets(): Promise<readonly string[]> {
  const found: string[] = [];
  for (const folder of SOCKET_FOLDERS) {
    const { state } = await Deno.permissions.query({ name: "read", path: folder });
    if (state !== "granted") continue;
    for (const { name } of entriesOf(folder)) {
      found.push(...socketsAt(`${folder}/${name}`), ...socketsAt(`${folder}/${name}/socket`));
    }
  }
  return found;
}

function socketsAt(path: string): readonly string[] {
  try {
    return Deno.statSync(path).isSocket ? [path] : [];
  } catch {
    return [];
  }
}
