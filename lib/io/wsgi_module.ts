/**
 * Modules that hold WSGI applications, fetch handlers and middleware: how the configuration names them,
 * and how one is imported. The runtime keeps a module, also one that failed, for as long as its thread
 * lives, so one that has changed since is imported under another URL; what it imports itself stays as it
 * was. Middleware that comes with Portico has a name of its own and is never looked for on the disk,
 * so that it is there in a compiled binary as well.
 */
import { cors, gzip, methodOverride, timing, validator } from "../middleware/mod.ts";
import type { Application, Middleware } from "../protocol/wsgi.ts";
import { type FetchHandler, fromFetch } from "../protocol/wsgi_fetch.ts";
import { resolvePath } from "../values.ts";
import { pathToFileURL } from "node:url";

/** A file and the name of its export; undefined: whatever is its main one. */
export interface ModuleName {
  readonly file: string;
  readonly name: string | undefined;
}

const MODULE = /^(.*\.[cm]?[jt]sx?)(?::([A-Za-z_$][\w$]*))?$/;

/** Reads `./app.ts` or `./app.ts:name`; undefined if the text is neither. */
export function parseModuleName(text: string): ModuleName | undefined {
  const [, file, name] = MODULE.exec(text) ?? [];
  return file === undefined ? undefined : { file, name };
}

/** What is wrong with a text that {@link parseModuleName} does not take. */
export function refuseModuleName({ input }: { readonly input: string }): string {
  return `Cannot read "${input}" as a module: write a TypeScript module, ./app.ts or ./app.ts:name`;
}

/** Middleware that needs no options, by the name that stands in the configuration. */
const BUILT_IN: ReadonlyMap<string, () => Middleware> = new Map([
  ["portico:cors", () => cors()],
  ["portico:gzip", () => gzip()],
  ["portico:methodOverride", () => methodOverride()],
  ["portico:timing", () => timing()],
  ["portico:validator", () => validator],
]);
const IS_BUILT_IN = /^portico:/;

/** Whether a text names middleware, in a module or one that comes with Portico. */
export function isMiddlewareName(text: string): boolean {
  return BUILT_IN.has(text) || (!IS_BUILT_IN.test(text) && parseModuleName(text) !== undefined);
}

/** What is wrong with a text that {@link isMiddlewareName} does not take. */
export function refuseMiddlewareName({ input }: { readonly input: string }): string {
  if (!IS_BUILT_IN.test(input)) return refuseModuleName({ input });
  return `Cannot find the middleware "${input}": there are ${[...BUILT_IN.keys()].join(", ")}; ` +
    "what needs options is made in a module";
}

/** Those of these names that stand for a module. */
export function modulesOf(names: readonly string[]): readonly string[] {
  return names.filter((name) => !IS_BUILT_IN.test(name));
}

/** The file of a module name, absolute. */
export function moduleFile(text: string, folder: string): string {
  return resolvePath(parseModuleName(text)?.file ?? text, folder);
}

/** What a route calls: a fetch handler as it is where nothing stands around it. */
export type Loaded =
  | { readonly type: "application"; readonly application: Application }
  | { readonly type: "fetch"; readonly handler: FetchHandler };

export interface LoadOptions {
  readonly middleware: readonly string[];
  /** The folder that relative names start from. */
  readonly folder: string;
  /** Puts a validator at every border. */
  readonly validate: boolean;
}

/**
 * Imports an application with everything around it: the route's middleware, then the module's own, each
 * outermost first.
 */
export async function loadApplication(app: string, options: LoadOptions): Promise<Loaded> {
  const { middleware, folder, validate } = options;
  const { exports, file } = await importModule(app, folder);
  const inner = applicationOf(exports, file, parseModuleName(app)?.name);
  const layers = [...await loadMiddleware(middleware, folder), ...ownMiddleware(exports, file)];
  if (isFetchHandler(inner) && layers.length === 0) return { type: "fetch", handler: inner };
  const border = validate ? validator : (application: Application) => application;
  const innermost = border(isFetchHandler(inner) ? fromFetch(inner) : inner);
  const application = layers.reduceRight<Application>(
    (application, layer) => border(layer.wrap(application)),
    innermost,
  );
  return { type: "application", application };
}

/** Middleware and where it comes from. */
interface Layer {
  wrap(application: Application): Application;
}

async function loadMiddleware(names: readonly string[], folder: string): Promise<Layer[]> {
  const layers: Layer[] = [];
  for (const text of names) {
    const make = BUILT_IN.get(text);
    if (make !== undefined) {
      layers.push(layerOf(make(), text));
      continue;
    }
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
    return { exports: await import(await urlOf(file)), file };
  } catch (error) {
    throw new Error(`Cannot import ${file}: ${explained(error)}`, { cause: error });
  }
}

/** When the files of modules had last been changed as they were first imported; undefined: not known. */
const firstTimes = new Map<string, number | undefined>();

/** The URL of a file as it is now. */
async function urlOf(file: string): Promise<string> {
  const { href } = pathToFileURL(file);
  const time = await changeTime(file);
  if (!firstTimes.has(file)) firstTimes.set(file, time);
  return time === firstTimes.get(file) ? href : `${href}?v=${time}`;
}

/** Undefined: nobody can tell, and importing it will say why. */
async function changeTime(file: string): Promise<number | undefined> {
  try {
    return (await Deno.stat(file)).mtime?.getTime();
  } catch {
    return undefined;
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

function applicationOf(
  exports: Exports,
  file: string,
  name: string | undefined,
): Application | FetchHandler {
  const [found, value] = pick(exports, name, ["default", "application"]);
  if (isApplication(value) || isFetchHandler(value)) return value;
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
    const right = what === "application" ? "function, and has no fetch()" : "function";
    return new Error(`${file} exports no ${what}: ${name} is no ${right}`);
  }
  const names = Object.keys(exports).join(", ") || "nothing";
  return new Error(`${file} exports no ${what} as ${name}: it exports ${names}`);
}

function isApplication(value: unknown): value is Application {
  return typeof value === "function";
}

function isFetchHandler(value: unknown): value is FetchHandler {
  return typeof value === "object" && value !== null && "fetch" in value &&
    typeof value.fetch === "function";
}

function isMiddleware(value: unknown): value is Middleware {
  return typeof value === "function";
}
