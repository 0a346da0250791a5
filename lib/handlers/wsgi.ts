/**
 * `wsgi`: an application in TypeScript, called by PEP 3333's convention on web-standard streams
 * (protocol/wsgi.ts holds the contract), or an object with fetch(): in the gateway's own thread, or in
 * workers (`isolate: worker`). Applications in Python run in processes of their own.
 */
import * as v from "valibot";
import type { Exchange, Mount, Outcome, SizedBody } from "../exchange.ts";
import { described, environment, fields, flag, list, optional, text } from "../fields.ts";
import {
  type Context,
  defineKind,
  type Explanation,
  type Permission,
  type Place,
  type Question,
  type Service,
  type Stateful,
} from "../handler.ts";
import { replyOf } from "../io/reply.ts";
import { type Callee, inlineCallee } from "../io/wsgi_inline.ts";
import {
  isMiddlewareName,
  loadApplication,
  moduleFile,
  modulesOf,
  parseModuleName,
  refuseMiddlewareName,
  refuseModuleName,
} from "../io/wsgi_module.ts";
import {
  explainPython,
  isPythonName,
  openPython,
  pythonFault,
  pythonFields,
  pythonPermissions,
} from "../io/wsgi_python.ts";
import {
  fitsIsolation,
  ISOLATION_FAULT,
  workerFields,
  workerLimits,
} from "../io/wsgi_worker_fields.ts";
import { WorkerPool } from "../io/wsgi_worker_pool.ts";
import { workerSources } from "../io/wsgi_worker_thread.ts";
import { partOf } from "../part.ts";
import { collectEnviron, mountFacts, planEnviron } from "../protocol/cgi_environ.ts";
import type { Fetched } from "../protocol/wsgi_fetch_call.ts";

const moduleName = v.pipe(
  text,
  v.check(
    (name: string) => parseModuleName(name) !== undefined || isPythonName(name),
    ({ input }) =>
      `${refuseModuleName({ input })}, or for Python ./app.py:name or package.module:name`,
  ),
);

const middlewareName = v.pipe(text, v.check(isMiddlewareName, refuseMiddlewareName));

const ownFields = fields({
  app: described(
    moduleName,
    "The application, or object with fetch(): ./app.ts (its default export, or the one named " +
      "application) or ./app.ts:name; in Python ./app.py:name or package.module:name.",
  ),
  middleware: described(
    optional(list(middlewareName)),
    "Middleware around it, outermost first: ./layer.ts (default export), ./layer.ts:name, or what " +
      "comes with Portico, such as portico:gzip.",
  ),
  env: described(optional(environment), "Variables added to the environ; they win."),
  validate: described(
    optional(flag),
    "Checks that application, middleware and server keep to PEP 3333; default: as server.dev, for " +
      "Python false.",
  ),
  ...workerFields,
  ...pythonFields,
});

const schema = v.pipe(
  ownFields,
  v.check((options) => fitsIsolation(options), ISOLATION_FAULT),
  v.check(
    (options) => pythonFault(options) === undefined,
    ({ input }) => pythonFault(input) ?? "",
  ),
);

type Options = v.InferOutput<typeof schema>;

export const wsgi = defineKind({
  summary: "Calls an application in TypeScript or Python (PEP 3333).",
  schema,
  requestBody: "stream",
  requestBodyOf: ({ app }) => isPythonName(app) ? "spool" : "stream",
  short: "app",
  describe: (options) => options.app,
  permissions: (options, place) =>
    isPythonName(options.app) ? pythonPermissions(options, place) : permissions(options, place),
  watches: (options, place) => isPythonName(options.app) ? [] : watches(options, place),
  explain: (options, question) =>
    isPythonName(options.app) ? explainPython(options, question) : explain(options, question),
  async open(options, context) {
    if (isPythonName(options.app)) return await openPython(options, context);
    return new WsgiService(await openModule(options, context), context);
  },
});

/** Loads a module in TypeScript, here or in workers. */
async function openModule(options: Options, context: Context): Promise<Callee> {
  const { app, middleware = [], env = {}, isolate, validate = context.dev } = options;
  const { place: { folder }, routes, log, route, passesOn, part } = context;
  const isOneOfMany = part !== undefined && part.of > 1;
  const load = { middleware, folder, validate };
  if (isolate === undefined) {
    const surroundings = { env, routes, multiprocess: isOneOfMany, passesOn, log };
    return inlineCallee(await loadApplication(app, load), surroundings);
  }
  const all = workerLimits(options);
  const limits = { ...all, workers: partOf(all.workers, part), queue: partOf(all.queue, part) };
  const multiprocess = isOneOfMany || limits.workers > 1;
  const setup = { app, load, env, routes, multiprocess };
  return await WorkerPool.start({ limits, thread: { ...limits, setup, name: route, log } });
}

/** Modules by their files. Workers load the neighbours anew as well. */
function watches({ app, middleware = [], isolate }: Options, place: Place): readonly string[] {
  const files = [app, ...modulesOf(middleware)].map((name) => moduleFile(name, place.folder));
  return isolate === undefined ? files : [...new Set(files.map(folderOf))];
}

function folderOf(file: string): string {
  return file.slice(0, file.lastIndexOf("/")) || "/";
}

/** A module may import its neighbours; what lies elsewhere has to be granted beside. */
function permissions(options: Options, place: Place): readonly Permission[] {
  const { app, middleware = [], isolate } = options;
  const modules = [app, ...modulesOf(middleware)].map((name): Permission => {
    const file = moduleFile(name, place.folder);
    const reason = `to import ${file} and what lies beside it`;
    return { name: "read", value: folderOf(file), reason };
  });
  if (isolate === undefined) return modules;
  return [...modules, { name: "read", value: workerSources(), reason: "to start its workers" }];
}

async function explain({ app, env = {} }: Options, question: Question): Promise<Explanation> {
  const { place, exchange, mount: { scriptName, pathInfo } } = question;
  const facts = mountFacts(question.mount, undefined);
  const environ = collectEnviron(planEnviron(env, undefined), exchange, facts);
  const target = moduleFile(app, place.folder);
  const notes = await isMissing(target) ? [`${target} does not exist`] : [];
  return { target, scriptName, pathInfo, environ, notes };
}

async function isMissing(file: string): Promise<boolean> {
  try {
    return !(await Deno.stat(file)).isFile;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

/** An application at work: in the gateway itself, or in workers. */
class WsgiService implements Service {
  readonly state: Stateful | undefined;
  readonly #callee: Callee;
  readonly #context: Context;

  constructor(callee: Callee, context: Context) {
    this.#callee = callee;
    const status = callee.status?.bind(callee);
    this.state = status && { status };
    this.#context = context;
  }

  readonly serve = (exchange: Exchange, mount: Mount): Outcome | Promise<Outcome> =>
    exchange.body === null
      ? this.#call(exchange, mount, null)
      : this.#context.sizeBody(exchange).then((body) => this.#call(exchange, mount, body));

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#callee[Symbol.asyncDispose]();
  }

  #call(exchange: Exchange, mount: Mount, body: SizedBody | null): Outcome | Promise<Outcome> {
    const answer = this.#callee.call(exchange, mount, body);
    return answer instanceof Promise
      ? answer.then((later) => this.#reply(later, exchange))
      : this.#reply(answer, exchange);
  }

  #reply(answer: Fetched, exchange: Exchange): Outcome {
    if ("response" in answer) return answer;
    return replyOf(answer.head, answer.body, exchange, this.#context.log);
  }
}
