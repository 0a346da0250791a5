/**
 * `cgi`: a process per request (RFC 3875). One program for the whole route (`script`), or a folder of
 * them (`root`), where the file along the path is the program and the rest of the path its PATH_INFO.
 */
import * as v from "valibot";
import type { ByteString, Exchange, Mount, Reply, SizedBody } from "../exchange.ts";
import { GatewayError } from "../errors.ts";
import {
  cannotRead,
  command,
  count,
  described,
  dictionary,
  duration,
  environment,
  fields,
  flag,
  list,
  optional,
  text,
  variableNames,
} from "../fields.ts";
import {
  type Context,
  defineKind,
  type Explanation,
  type Permission,
  type Place,
  type Question,
  type Service,
  type Stateful,
  treePath,
} from "../handler.ts";
import { lifeFields, lifePermissions, openLife } from "../io/cgi_life.ts";
import { type Call, Programs } from "../io/cgi_programs.ts";
import { runCgi } from "../io/cgi_run.ts";
import type { CgiCommand } from "../io/cgi_start.ts";
import { wrap, type Wrapping } from "../io/cgi_wrap.ts";
import {
  type Account,
  accountPermissions,
  DEFAULT_PATH,
  lookUpAccount,
  resolveProgram,
} from "../io/program.ts";
import { partOf } from "../part.ts";
import { resolvePath } from "../values.ts";
import { Slots } from "../io/slots.ts";
import {
  collectEnviron,
  type EnvironFacts,
  type EnvironPlan,
  walkEnviron,
} from "../protocol/cgi_environ.ts";
import { byteString, textOf } from "../protocol/latin1.ts";

const MAX_PROCESSES = 64;
const QUEUE = 1024;
const QUEUE_TIMEOUT_MS = 30_000;

const fileName = v.pipe(
  text,
  v.regex(/^[^/]+$/, cannotRead("the name of a file", "it without any folder")),
);

const schema = v.pipe(
  fields({
    script: described(optional(text), "The program that answers every request of the route."),
    root: described(
      optional(text),
      "A folder of programs: the file along the path is the program, the rest is PATH_INFO.",
    ),
    index: described(
      optional(list(fileName)),
      "Programs of a folder, tried in order when the path ends with its slash; default [index.cgi].",
    ),
    args: described(optional(list(text)), "Arguments of the program."),
    queryArgs: described(
      optional(flag),
      "Passes the words of a query without = (/find?two+words) as further arguments; default false.",
    ),
    interpreters: described(
      optional(dictionary(text, command)),
      'Commands that run files by suffix, such as {".py": [python3]}.',
    ),
    env: described(optional(environment), "Variables added to the environ; they win."),
    passEnv: described(
      optional(variableNames),
      "Variables of the gateway's own environment that the program receives too.",
    ),
    cwd: described(optional(text), "The program's working folder; default: the script's."),
    timeout: described(optional(duration), "The longest a request may take."),
    maxProcesses: described(
      optional(count(1)),
      `Processes of this route at once; others wait. Default ${MAX_PROCESSES}.`,
    ),
    queue: described(
      optional(count(0)),
      `Requests that may wait for a process; 503 past it. Default ${QUEUE}.`,
    ),
    queueTimeout: described(
      optional(duration),
      `The longest wait for a process; 503 past it. Default ${QUEUE_TIMEOUT_MS / 1000}s.`,
    ),
    ...lifeFields,
    user: described(optional(v.union([text, v.number()])), "The user to run as (name or id)."),
    group: described(optional(v.union([text, v.number()])), "The group to run as (name or id)."),
    nph: described(
      optional(flag),
      "Declares a non-parsed-header script. Its status line is understood on any script; the output " +
        "is parsed all the same, since the runtime frames responses itself.",
    ),
  }),
  v.check(
    ({ script, root }) => (script === undefined) !== (root === undefined),
    "Cannot tell which program to run: write either script or root",
  ),
  v.check(
    ({ script, index }) => script === undefined || index === undefined,
    "Cannot have both: index needs root, the route's one script needs none",
  ),
);

type Options = v.InferOutput<typeof schema>;

export const cgi = defineKind({
  summary: "Runs a program for each request (RFC 3875).",
  schema,
  requestBody: "spool",
  short: "script",
  describe: ({ script, root }) => script ?? `${root}/`,
  permissions,
  explain,
  open: async (options, context) =>
    new CgiService(options, context, await openLife(options, lookUpAccount(options))),
});

function permissions(options: Options, place: Place): readonly Permission[] {
  const { script, root, interpreters = {}, passEnv = [] } = options;
  const needs: Permission[] = [];
  if (script !== undefined) {
    needs.push(run(resolveProgram(script, place.folder), "to run the script"));
  }
  if (root !== undefined) {
    const folder = resolvePath(root, place.folder);
    needs.push({ name: "read", value: folder, reason: "to find scripts in the folder" });
    // The runtime grants programs one by one and a folder holds any number, also in future.
    if (Object.keys(interpreters).length === 0) {
      needs.push(run("*", "to run whatever script lies in the folder"));
    }
  }
  for (const [suffix, [program = ""]] of Object.entries(interpreters)) {
    needs.push(run(resolveProgram(program, place.folder), `to interpret ${suffix} files`));
  }
  needs.push(...lifePermissions(options));
  for (const name of passEnv) needs.push({ name: "env", value: name, reason: "to pass it on" });
  needs.push(...accountPermissions(options));
  return needs;
}

function run(value: string, reason: string): Permission {
  return { name: "run", value, reason };
}

async function explain(options: Options, question: Question): Promise<Explanation> {
  const { place, exchange, mount } = question;
  const facts = (call: Call, length: number | undefined): EnvironFacts => ({
    scriptName: call.scriptName,
    pathInfo: call.pathInfo,
    scriptFilename: call.file,
    contentLength: length,
  });
  try {
    const programs = new Programs(options, place, lookUpAccount(options));
    const call = programs.find(treePath(question.route, mount), exchange, mount);
    if (call.type === "reply") return elsewhere(call, options, question);
    const environ = collectEnviron(programs.plan, exchange, facts(call, undefined));
    return await Promise.resolve({
      target: [call.program, ...call.args].join(" "),
      scriptName: call.scriptName,
      pathInfo: call.pathInfo,
      environ: { PATH: DEFAULT_PATH, ...passed(options, byteString), ...environ },
      notes: [],
    });
  } catch (error) {
    const target = resolvePath(options.script ?? options.root ?? "", place.folder);
    return { target, ...mount, environ: {}, notes: [noteOf(error)] };
  }
}

function elsewhere(reply: Reply, options: Options, { place, mount }: Question): Explanation {
  const location = reply.headers.map(([, value]) => value).join();
  const notes = [`would answer ${reply.status}: the path names a folder, see ${location}`];
  return { target: resolvePath(options.root ?? "", place.folder), ...mount, environ: {}, notes };
}

function noteOf(error: unknown): string {
  if (error instanceof GatewayError) return `would answer ${error.status}: ${error.message}`;
  if (error instanceof Deno.errors.NotFound) {
    return "the folder does not exist: serve will not start";
  }
  // An account that the system does not know.
  if (error instanceof Error) return `${error.message}: serve will not start`;
  throw error;
}

class CgiService implements Service {
  readonly timeoutMs: number | undefined;
  readonly state: Stateful;
  readonly #context: Context;
  readonly #programs: Programs;
  readonly #base: Readonly<Record<string, string>>;
  readonly #ids: Account;
  /** What stands before every program. */
  readonly #wrapping: Wrapping | undefined;
  readonly #slots: Slots;
  /** Runs that have not come to their end. */
  readonly #runs = new Set<Promise<void>>();

  constructor(options: Options, context: Context, wrapping: Wrapping | undefined) {
    this.#context = context;
    this.#wrapping = wrapping;
    this.#ids = lookUpAccount(options);
    this.#programs = new Programs(options, context.place, this.#ids);
    this.timeoutMs = options.timeout;
    this.#base = baseEnviron(options, this.#programs.plan);
    this.#slots = new Slots({
      max: partOf(options.maxProcesses ?? MAX_PROCESSES, context.part),
      queue: partOf(options.queue ?? QUEUE, context.part),
      queueTimeoutMs: options.queueTimeout ?? QUEUE_TIMEOUT_MS,
    });
    this.state = this.#slots;
  }

  readonly serve = async (exchange: Exchange, mount: Mount) => {
    const { options, log } = this.#context;
    const call = this.#programs.find(treePath(options, mount), exchange, mount);
    if (call.type === "reply") return call;
    const body = await this.#context.sizeBody(exchange);
    try {
      await this.#slots.take(exchange.lifeline);
    } catch (error) {
      body?.close();
      throw error;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#runs.add(promise);
    return await runCgi({
      exchange,
      body,
      command: this.#command(call, exchange, body),
      maxReplyHead: options.maxReplyHead,
      log,
      onExit: () => this.#slots.give(),
      onEnd: () => {
        this.#runs.delete(promise);
        resolve();
      },
    });
  };

  /** The last request has ended; its process, or its last words, may take a little longer. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#runs);
  }

  #command(call: Call, exchange: Exchange, body: SizedBody | null): CgiCommand {
    const env: Record<string, string> = { ...this.#base };
    const facts = {
      scriptName: call.scriptName,
      pathInfo: call.pathInfo,
      scriptFilename: call.file,
      contentLength: body?.length,
    };
    // The runtime writes the environ as UTF-8: bytes that are UTF-8 arrive as they were.
    const sink = { set: (name: string, value: ByteString) => env[name] = textOf(value) };
    walkEnviron(this.#programs.plan, exchange, facts, sink);
    const command = { program: call.program, args: call.args, env, cwd: call.cwd, ...this.#ids };
    return this.#wrapping === undefined ? command : wrap(command, this.#wrapping);
  }
}

/** What is the same for every run: PATH, what is passed on, the plan's constants. */
function baseEnviron(options: Options, plan: EnvironPlan): Record<string, string> {
  const base: Record<string, string> = { PATH: DEFAULT_PATH, ...passed(options, String) };
  for (const [name, value] of plan.constants) base[name] = textOf(value);
  return base;
}

/** What the program receives of the gateway's own environment (`passEnv`), in the form that is wanted. */
function passed(options: Options, form: (value: string) => string): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const name of options.passEnv ?? []) {
    const value = Deno.env.get(name);
    if (value !== undefined) variables[name] = form(value);
  }
  return variables;
}
