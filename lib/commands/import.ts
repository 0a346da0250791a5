/**
 * `import nginx FILE`: prints a routes.yaml for a configuration of nginx; on standard error a line for each
 * of its own that says what became of it. Writes nothing.
 */
import { ConfigError } from "../errors.ts";
import type { Included } from "../import/nginx_include.ts";
import { translateNginx } from "../import/nginx.ts";
import { resolvePath } from "../values.ts";
import { complain, FAULTY, FINE, type Invocation, print, UsageError } from "./command.ts";

async function importTable({ operands }: Invocation): Promise<number> {
  const [format, file, ...rest] = operands;
  if (format !== "nginx" || file === undefined || rest.length > 0) {
    throw new UsageError(
      "import takes a format and a file: import nginx /etc/nginx/sites-enabled/shop",
    );
  }
  const text = await readMain(file);
  const { table, report } = translateNginx(
    text,
    file,
    (name, from) => readIncluded(name, from, file),
  );
  for (const line of report) complain(line);
  if (table === undefined) {
    complain(`portico: ${file} has nothing that a route could take over`);
    return FAULTY;
  }
  print(table.trimEnd());
  return FINE;
}
export { importTable as import };

async function readMain(file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const message = `Cannot read this file: ${
      error instanceof Error ? error.message : String(error)
    }`;
    throw new ConfigError([{ file, line: 1, column: 1, message }]);
  }
}

/**
 * nginx starts names from the folder of nginx.conf. That is rarely beside the file of one site: its folder
 * is tried, then those above it.
 */
function readIncluded(name: string, from: string, main: string): readonly Included[] {
  const places = [from, main].flatMap((file) => foldersAbove(resolvePath(file, Deno.cwd())));
  for (const folder of name.startsWith("/") ? ["/"] : new Set(places)) {
    const found = readMatching(resolvePath(name, folder));
    if (found.length > 0) return found;
  }
  return [];
}

const MOST_FOLDERS = 3;

function foldersAbove(path: string): readonly string[] {
  const parts = path.split("/").slice(1, -1);
  const count = Math.min(MOST_FOLDERS, parts.length + 1);
  return Array.from(
    { length: count },
    (_, up) => `/${parts.slice(0, parts.length - up).join("/")}`,
  );
}

/** The files of a folder that a name with `*` and `?` fits, in order of their names. */
function readMatching(path: string): readonly Included[] {
  const at = path.lastIndexOf("/");
  const [folder, name] = [path.slice(0, at) || "/", path.slice(at + 1)];
  const names = /[*?]/.test(name) ? namesIn(folder).filter((own) => fits(name, own)) : [name];
  return names.flatMap((own) => {
    const file = `${folder === "/" ? "" : folder}/${own}`;
    try {
      return [{ file, text: Deno.readTextFileSync(file) }];
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      return [];
    }
  });
}

function namesIn(folder: string): readonly string[] {
  try {
    return Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return [];
  }
}

/** A pattern of a file's name: hidden files are named outright, as for a shell. */
function fits(pattern: string, name: string): boolean {
  const source = pattern.split(/\*+/).map((part) =>
    part.replace(/[^\w?]/g, "\\$&").replaceAll("?", ".")
  ).join(".*");
  return !name.startsWith(".") && new RegExp(`^${source}$`, "s").test(name);
}
