/**
 * The looks at the disk behind an explanation: which names a request's path comes to in the tree of its
 * route, what lies there, and where links lead. For people who wonder why a file is not found.
 */
import type { Mount } from "../exchange.ts";
import { type RouteOptions, treePath } from "../handler.ts";
import { textOf } from "../protocol/latin1.ts";
import { resolvePath } from "../values.ts";

export interface Look {
  readonly path: string;
  /** What is there, as the gateway's own user sees it. */
  readonly is: "file" | "program" | "folder" | "nothing" | "forbidden" | "other";
  /** The file itself, where links lead to another. */
  readonly real?: string;
}

/** What a kind looks for in a folder unless the route says otherwise. */
const INDEX: Readonly<Record<string, string>> = {
  cgi: "index.cgi",
  fastcgi: "index.php",
  php: "index.php",
  static: "index.html",
};

export interface Asked {
  readonly key: string;
  /** The route's fields, whatever its kind. */
  readonly fields: unknown;
  readonly route: RouteOptions;
  readonly mount: Mount;
  /** The folder of the table. */
  readonly folder: string;
}

/** The names along the path, up to the first that is no folder; none for kinds without files. */
export function lookAlong({ key, fields, route, mount, folder }: Asked): readonly Look[] {
  const root = textField(fields, "root");
  const script = textField(fields, "script");
  if (script?.includes("/")) return [look(resolvePath(script, folder))];
  const index = INDEX[key];
  if (root === undefined || index === undefined) return [];
  let path = resolvePath(root, folder);
  const looks = [look(path)];
  for (const segment of textOf(treePath(route, mount)).split("/")) {
    if (segment === "") continue;
    if (looks.at(-1)?.is !== "folder") return looks;
    path = `${path === "/" ? "" : path}/${segment}`;
    looks.push(look(path));
  }
  if (looks.at(-1)?.is !== "folder") return looks;
  return [...looks, ...indexNames(fields, index).map((name) => look(`${path}/${name}`))];
}

function textField(fields: unknown, name: string): string | undefined {
  const value: unknown = Reflect.get(Object(fields), name);
  return typeof value === "string" ? value : undefined;
}

function indexNames(fields: unknown, usual: string): readonly string[] {
  const index: unknown = Reflect.get(Object(fields), "index") ?? usual;
  const names: readonly unknown[] = Array.isArray(index) ? index : [index];
  return names.filter((name) => typeof name === "string");
}

function look(path: string): Look {
  try {
    const { isFile, isDirectory, mode } = Deno.statSync(path);
    const isProgram = ((mode ?? 0) & 0o111) !== 0;
    const is = isDirectory ? "folder" : !isFile ? "other" : isProgram ? "program" : "file";
    const real = Deno.realPathSync(path);
    return real === path ? { path, is } : { path, is, real };
  } catch (error) {
    const isDenied = error instanceof Deno.errors.PermissionDenied ||
      error instanceof Deno.errors.NotCapable;
    return { path, is: isDenied ? "forbidden" : "nothing" };
  }
}
