/**
 * WSGI applications in Python: interpreters of their own, started and kept running by the process manager
 * and reached by FastCGI, which a bridge (wsgi_bridge/) speaks on their side. Nothing has to be installed:
 * the bridge is part of this program and travels in the environment of the interpreter that it starts.
 *
 * Why FastCGI: it frames both bodies, so that one of unknown length and a reply cut short are told as
 * what they are, and its error stream joins each line to its request. Connections are kept. Every process
 * has a socket of its own and as many requests at once as it has threads; of several that wait for its
 * only thread some are with it already, as long as it is quick (fastcgi_ahead.ts).
 */
import * as v from "valibot";
import { GatewayError } from "../errors.ts";
import type { Exchange, Mount, Outcome, Reply, ReplyBody } from "../exchange.ts";
import { count, described, list, optional, text } from "../fields.ts";
import type { Context, Explanation, Permission, Place, Question } from "../handler.ts";
import type { Service, Shared, Stateful } from "../handler.ts";
import {
  collectEnviron,
  type EnvironPlan,
  mountFacts,
  planEnviron,
  walkEnviron,
} from "../protocol/cgi_environ.ts";
import { partOf } from "../part.ts";
import { FcgiEncoder } from "../protocol/fastcgi_encoder.ts";
import { resolvePath } from "../values.ts";
import { converse } from "./fastcgi_client.ts";
import { type Spawn, spawnPermissions, spawnUpstream } from "./spawn.ts";
import { IDLE_FAULT, mayIdle, processFields, processRange } from "./spawn_fields.ts";
import FASTCGI from "./wsgi_bridge/portico_fastcgi.py" with { type: "text" };
import PROCESS from "./wsgi_bridge/portico_process.py" with { type: "text" };
import REPLY from "./wsgi_bridge/portico_reply.py" with { type: "text" };
import STREAMS from "./wsgi_bridge/portico_streams.py" with { type: "text" };
import { PythonPool } from "./wsgi_python_pool.ts";

const NAME = /^(?:(.+\.py)(?::[\w.]+)?|[^\W\d]\w*(?:\.[^\W\d]\w*)*:[\w.]+)$/;

/** Whether a text names an application in Python: `./app.py`, `./app.py:name` or `package.module:name`. */
export function isPythonName(text: string): boolean {
  return NAME.test(text);
}

/** The fields that applications in Python have beside `app`, `env` and `validate`. */
export const pythonFields = {
  python: described(
    optional(text),
    "For Python: the interpreter, such as ./.venv/bin/python; default python3.",
  ),
  threads: described(
    optional(count(1)),
    "For Python: requests that one process serves at once, each in a thread; default 1.",
  ),
  path: described(
    optional(list(text)),
    "For Python: folders that modules are imported from first, before that of the application.",
  ),
  ...processFields,
};

const pythonSchema = v.object(pythonFields);

export interface PythonOptions extends v.InferOutput<typeof pythonSchema> {
  readonly app: string;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly validate?: boolean | undefined;
}

/** `startTimeout` is for workers in TypeScript as well. */
const SHARED_FIELD = "startTimeout";

interface AllOptions extends PythonOptions {
  readonly middleware?: readonly string[] | undefined;
  readonly isolate?: string | undefined;
}

/** Why fields that are right each by itself do not go with the application; undefined: they do. */
export function pythonFault(options: AllOptions): string | undefined {
  if (!isPythonName(options.app)) {
    const misplaced = Object.keys(pythonFields)
      .find((name) => name !== SHARED_FIELD && Reflect.get(options, name) !== undefined);
    return misplaced &&
      `Cannot use ${misplaced} here: it is for applications in Python. Leave it out`;
  }
  if (options.middleware !== undefined) {
    return "Cannot put middleware in TypeScript around an application in Python: wrap it in Python, and " +
      "leave out middleware";
  }
  if (options.isolate !== undefined) {
    return "Cannot isolate an application in Python further: it has processes of its own. Leave out isolate";
  }
  return mayIdle(options) ? undefined : IDLE_FAULT;
}

/** The bridge, module by module, in an order in which each finds those that it imports. */
const BRIDGE = JSON.stringify({
  portico_fastcgi: FASTCGI,
  portico_streams: STREAMS,
  portico_reply: REPLY,
  portico_process: PROCESS,
});

/** First of all it ends the search for modules in the working folder. */
const LOADER = `import os, sys
sys.path.pop(0)
import json, types
for name, text in json.loads(os.environ.pop("PORTICO_BRIDGE")).items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, f"portico/{name}.py", "exec"), module.__dict__)
`;

function spawnOf(options: PythonOptions, place: Place, dev = false): Spawn {
  const { app, python = "python3", threads = 1, path = [], env = {}, validate = false } = options;
  const { processes, idleTimeout, maxRequests, user, group } = options;
  const { startTimeout, stopTimeout, guard } = options;
  const shared = { processes, idleTimeout, maxRequests, user, group };
  const rest = { startTimeout, stopTimeout, guard };
  const facts = { app, folder: place.folder, path, threads, validate };
  const told = { ...facts, dev, multiprocess: canBeSeveral(options) };
  const command = [python, "-c", LOADER, app];
  return {
    identity: `wsgi ${JSON.stringify({ ...facts, ...shared, ...rest, python, env })}`,
    options: {
      ...shared,
      ...rest,
      command,
      listen: "inherit",
      concurrency: threads,
      env: { ...env, PORTICO_BRIDGE: BRIDGE, PORTICO_WSGI: JSON.stringify(told) },
    },
  };
}

/** Whether two processes may ever run at once; one that takes over from another counts. */
function canBeSeveral(options: PythonOptions): boolean {
  return processRange(options).max > 1 || options.maxRequests !== undefined;
}

/** What running it takes. */
export function pythonPermissions(options: PythonOptions, place: Place): readonly Permission[] {
  return spawnPermissions(spawnOf(options, place), place);
}

/** Tells what the application would receive. */
export async function explainPython(
  options: PythonOptions,
  { place, exchange, mount }: Question,
): Promise<Explanation> {
  const { app, env = {}, python = "python3", threads = 1 } = options;
  const { min, max } = processRange(options);
  const environ = collectEnviron(
    planEnviron(env, undefined),
    exchange,
    mountFacts(mount, undefined),
  );
  const file = fileOf(app, place);
  const many = min === max ? String(max) : `${min} to ${max}`;
  const notes = [`called by ${python}: processes ${many}, threads ${threads}`];
  if (file !== undefined && await isMissing(file)) notes.push(`${file} does not exist`);
  return { target: file ?? app, ...mount, environ, notes };
}

function fileOf(app: string, place: Place): string | undefined {
  const file = NAME.exec(app)?.[1];
  return file === undefined ? undefined : resolvePath(file, place.folder);
}

async function isMissing(file: string): Promise<boolean> {
  try {
    return !(await Deno.stat(file)).isFile;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

/** Starts the processes, or shares those that another route has started; rejects if they do not come up. */
export async function openPython(options: PythonOptions, context: Context): Promise<Service> {
  const spawn = spawnOf(options, context.place, context.dev);
  const pool = await context.share(spawn.identity, async () => {
    const queue = partOf(QUEUE, context.part);
    return new PythonPool(await spawnUpstream(spawn, context), spawn.options, queue);
  });
  return new PythonService(options, context, pool);
}

const QUEUE = 1024;

class PythonService implements Service {
  readonly #context: Context;
  readonly #pool: Shared<PythonPool>;
  readonly #plan: EnvironPlan;
  /** The plan's constants as name-value pairs, encoded once. */
  readonly #constants: Uint8Array;

  constructor({ env = {} }: PythonOptions, context: Context, pool: Shared<PythonPool>) {
    this.#context = context;
    this.#pool = pool;
    this.#plan = planEnviron(env, undefined);
    const encoder = new FcgiEncoder();
    for (const [name, value] of this.#plan.constants) encoder.pair(name, value);
    this.#constants = encoder.take().slice();
  }

  readonly serve = async (exchange: Exchange, mount: Mount): Promise<Outcome> => {
    const { options, log, sizeBody } = this.#context;
    const body = exchange.body === null ? null : await sizeBody(exchange);
    const facts = mountFacts(mount, body?.length);
    const outcome = await converse(this.#pool.value, {
      exchange,
      role: "responder",
      body,
      maxReplyHead: options.maxReplyHead,
      log,
      writeParams: (encoder) => {
        walkEnviron(this.#plan, exchange, facts, encoder);
        encoder.append(this.#constants);
      },
    });
    if (outcome.type === "reply" && outcome.status === 500) await refuseFault(outcome);
    return outcome;
  };

  get state(): Stateful {
    return this.#pool.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}

/** The field by which the bridge says that the application threw, and what. */
const FAULT = "portico-fault";

/** @throws {GatewayError} 500 `application-error`; its traceback is in the log already. */
async function refuseFault({ headers, body }: Reply): Promise<void> {
  const fault = headers.find(([name]) => name.toLowerCase() === FAULT);
  if (fault === undefined) return;
  const detail = new TextDecoder().decode(await wholeOf(body));
  throw new GatewayError(500, "application-error", fault[1], detail === "" ? {} : { detail });
}

async function wholeOf(body: ReplyBody): Promise<Uint8Array<ArrayBuffer>> {
  if (body === null) return new Uint8Array(0);
  if (body instanceof Uint8Array) return body;
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (let piece = await body.read(); piece !== undefined; piece = await body.read()) {
    pieces.push(piece);
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}
