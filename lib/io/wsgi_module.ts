/**
 * Modules that hold WSGI applications and middleware: how the configuration names them, and how one is
 * imported. The runtime keeps a module, also one that failed, for as long as the process lives.
 */
import type { Application, Middleware } from "../protocol/wsgi.ts";
import { resolvePath } from "../values.ts";
import { pathToFileURL } from "node:url";

/** A file and the name of its export; undefined: whatever is its main one. */
export interface ModuleName {
  readonly file: string;
  readonly name: string | undefined;
}

const MODULE = /^(.*\.[cm]?[jt]sx?)(?::([A-Za-z_$][\w$]*))?$/;
const PYTHON = /\.py(?::.*)?$|^\w+(?:\.\w+)*:\w+$/;

/** Reads `./app.ts` or `./app.ts:name`; undefined if the text is neither. */
export function parseModuleName(text: string): ModuleName | undefined {
  const [, file, name] = MODULE.exec(text) ?? [];
  return file === undefined ? undefined : { file, name };
}

/** What is wrong with a text that {@link parseModuleName} does not take. */
export function refuseModuleName({ input }: { readonly input: string }): string {
  const right = "write a TypeScript module, ./app.ts or ./app.ts:name";
  return PYTHON.test(input)
    ? `Cannot run the Python application "${input}" yet: ${right}`
    : `Cannot read "${input}" as a module: ${right}`;
}

/** The file of a module name, absolute. */
export function moduleFile(text: string, folder: string): string {
  return resolvePath(parseModuleName(text)?.file ?? text, folder);
}

/**
 * Imports an application with everything around it: the route's middleware, then the module's own, each
 * outermost first.
 */
export async function loadApplication(
  app: string,
  middleware: readonly string[],
  folder: string,
): Promise<Application> {
  const { exports, file } = await importModule(app, folder);
  const inner = applicationOf(exports, file, parseModuleName(app)?.name);
  const layers = [...await loadMiddleware(middleware, folder), ...ownMiddleware(exports, file)];
  return layers.reduceRight<Application>((application, layer) => layer.wrap(application), inner);
}

/** Middleware and where it comes from. */
interface Layer {
  wrap(application: Application): Application;
}

async function loadMiddleware(names: readonly string[], folder: string): Promise<Layer[]> {
  const layers: Layer[] = [];
  for (const text of names) {
    const { exports, file } = await importModule(text, folder);
    const [found, value] = pick(exports, parseModuleName(text)?.name, ["default", "middleware"]);
    if (!isMiddleware(value)) throw notThere(exports, file, "middleware", found, value);
    layers.push(layerOf(value, `${file}:${found}`));
  }
  return layers;
}

function ownMiddleware(exports: Exports, file: string): Layer[] {
  const { middleware } = exports;
  if (middleware === undefined) return [];
  if (!Array.isArray(middleware)) {
    throw new Error(`${file} exports middleware that is no array: write [outermost, innermost]`);
  }
  return middleware.map((value: unknown, at) => {
    if (isMiddleware(value)) return layerOf(value, `${file}:middleware[${at}]`);
    throw new Error(`${file} exports middleware whose item ${at} is no function`);
  });
}

function layerOf(middleware: Middleware, where: string): Layer {
  return {
    wrap(application) {
      const wrapped: unknown = middleware(application);
      if (isApplication(wrapped)) return wrapped;
      throw new Error(`The middleware ${where} returns no application but ${typeof wrapped}`);
    },
  };
}

type Exports = Readonly<Record<string, unknown>>;

/** Imports a module once its name is resolved: hence by a computed URL, which needs read permission. */
async function importModule(
  text: string,
  folder: string,
): Promise<{ readonly exports: Exports; readonly file: string }> {
  const file = moduleFile(text, folder);
  try {
    return { exports: await import(pathToFileURL(file).href), file };
  } catch (error) {
    throw new Error(`Cannot import ${file}: ${explained(error)}`, { cause: error });
  }
}

/** The runtime's own words, which say what and mostly where, without its colours. */
function explained(error: unknown): string {
  if (!(error instanceof Error)) return `it threw ${String(error)}`;
  const message = plain(error.message);
  // Missing, forbidden or unreadable: the stack only tells who imports.
  if ("code" in error && error.code === "ERR_MODULE_NOT_FOUND") return message;
  const told = message.includes("file:///") ? undefined : plain(error.stack ?? "");
  const place = /file:\/\/\/[^\s()]+:\d+:\d+/.exec(told ?? "")?.[0];
  return `${error.name}: ${message}${place === undefined ? "" : ` at ${place}`}`;
}

function plain(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/\x1b\[[\d;]*m/g, "");
}

function applicationOf(exports: Exports, file: string, name: string | undefined): Application {
  const [found, value] = pick(exports, name, ["default", "application"]);
  if (isApplication(value)) return value;
  throw notThere(exports, file, "application", found, value);
}

/** The export of that name, or without one, the first of the usual names that is there. */
function pick(
  exports: Exports,
  name: string | undefined,
  usual: readonly [string, string],
): readonly [string, unknown] {
  const found = name ?? usual.find((candidate) => exports[candidate] !== undefined) ?? usual[0];
  return [found, exports[found]];
}

function notThere(
  exports: Exports,
  file: string,
  what: "application" | "middleware",
  name: string,
  value: unknown,
): Error {
  if (value !== undefined) {
    const fetches = typeof value === "object" && value !== null && "fetch" in value;
    const hint = fetches ? ": an object with fetch() is not one" : "";
    return new Error(`${file} exports no ${what}: ${name} is no function${hint}`);
  }
  const names = Object.keys(exports).join(", ") || "nothing";
  return new Error(`${file} exports no ${what} as ${name}: it exports ${names}`);
}

function isApplication(value: unknown): value is Application {
  return typeof value === "function";
}

function isMiddleware(value: unknown): value is Middleware {
  return typeof value === "function";
}
