/**
 * `wsgi`: an application in TypeScript, called in the gateway's own process by PEP 3333's convention on
 * web-standard streams (protocol/wsgi.ts holds the contract).
 */
import * as v from "valibot";
import type { Exchange, Mount, Reply, SizedBody } from "../exchange.ts";
import { described, environment, fields, list, optional, text } from "../fields.ts";
import {
  type Context,
  defineKind,
  type Explanation,
  type Permission,
  type Place,
  type Question,
  type Service,
  type ServiceLog,
} from "../handler.ts";
import { ProgramLog } from "../io/program_log.ts";
import { replyOf } from "../io/reply.ts";
import {
  loadApplication,
  moduleFile,
  parseModuleName,
  refuseModuleName,
} from "../io/wsgi_module.ts";
import { collectEnviron, mountFacts, planEnviron } from "../protocol/cgi_environ.ts";
import type { Application, ErrorStream } from "../protocol/wsgi.ts";
import { Call, type Held } from "../protocol/wsgi_call.ts";
import type { Answer } from "../protocol/wsgi_draw.ts";
import { buildEnviron, type EnvironFrame } from "../protocol/wsgi_environ.ts";
import { BodyInput } from "../protocol/wsgi_input.ts";

const moduleName = v.pipe(
  text,
  v.check((name: string) => parseModuleName(name) !== undefined, refuseModuleName),
);

const schema = fields({
  app: described(
    moduleName,
    "The application: ./app.ts (its default export, or the one named application) or ./app.ts:name.",
  ),
  middleware: described(
    optional(list(moduleName)),
    "Middleware around it, outermost first: ./layer.ts (default export) or ./layer.ts:name.",
  ),
  env: described(optional(environment), "Variables added to the environ; they win."),
});

type Options = v.InferOutput<typeof schema>;

export const wsgi = defineKind({
  summary: "Calls an application in TypeScript (PEP 3333 on web-standard streams).",
  schema,
  requestBody: "stream",
  short: "app",
  describe: (options) => options.app,
  permissions,
  explain,
  async open(options, context) {
    const { app, middleware = [] } = options;
    const application = await loadApplication(app, middleware, context.place.folder);
    return new WsgiService(application, options, context);
  },
});

/** A module may import its neighbours; what lies elsewhere has to be granted beside. */
function permissions({ app, middleware = [] }: Options, place: Place): readonly Permission[] {
  return [app, ...middleware].map((name) => {
    const file = moduleFile(name, place.folder);
    const folder = file.slice(0, file.lastIndexOf("/")) || "/";
    return { name: "read", value: folder, reason: `to import ${file} and what lies beside it` };
  });
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

class WsgiService implements Service {
  readonly #application: Application;
  readonly #context: Context;
  readonly #frame: EnvironFrame;

  constructor(application: Application, { env = {} }: Options, context: Context) {
    this.#application = application;
    this.#context = context;
    this.#frame = { plan: planEnviron(env, undefined), routes: context.routes };
  }

  readonly serve = (exchange: Exchange, mount: Mount): Reply | Promise<Reply> =>
    exchange.body === null
      ? this.#call(exchange, mount, null)
      : this.#context.sizeBody(exchange).then((body) => this.#call(exchange, mount, body));

  /** The last request has ended, and with it the application's last call. */
  async [Symbol.asyncDispose](): Promise<void> {}

  #call(exchange: Exchange, mount: Mount, body: SizedBody | null): Reply | Promise<Reply> {
    const { log } = this.#context;
    const held = new Belongings(exchange.id, body, log);
    const call = new Call(exchange, held);
    const environ = buildEnviron(this.#frame, exchange, {
      mount,
      contentLength: body?.length,
      input: new BodyInput(body),
      errors: held.errors,
      signal: call.signal,
    });
    const answer = call.run(this.#application, environ);
    return answer instanceof Promise
      ? answer.then((later) => this.#reply(later, exchange))
      : this.#reply(answer, exchange);
  }

  #reply({ head, body }: Answer, exchange: Exchange): Reply {
    return replyOf(head, body, exchange, this.#context.log);
  }
}

/** What a call holds: its request's body, and what it writes to wsgi.errors. */
class Belongings implements Held {
  readonly errors: ErrorText;
  readonly #id: string;
  readonly #body: SizedBody | null;
  readonly #log: ServiceLog;

  constructor(id: string, body: SizedBody | null, log: ServiceLog) {
    this.#id = id;
    this.#body = body;
    this.#log = log;
    this.errors = new ErrorText(id, log);
  }

  release(): void {
    this.#body?.close();
    ErrorText.end(this.errors);
  }

  notice(message: string): void {
    this.#log.notice(message, this.#id);
  }
}

const UTF8 = new TextEncoder();

/** `wsgi.errors`: text becomes log lines, as a program's error stream does, with the same limits. */
class ErrorText implements ErrorStream {
  readonly #id: string;
  readonly #log: ServiceLog;
  /** Made with the first text, which most calls never write. */
  #lines: ProgramLog | undefined;

  constructor(id: string, log: ServiceLog) {
    this.#id = id;
    this.#log = log;
  }

  write(text: string): void {
    this.#lines ??= new ProgramLog(this.#log, this.#id);
    this.#lines.push(UTF8.encode(String(text)));
  }

  writelines(lines: Iterable<string>): void {
    for (const line of lines) this.write(line);
  }

  flush(): void {
    this.#lines?.end();
  }

  /** Not the application's to call, hence no method. */
  static end(errors: ErrorText): void {
    errors.#lines?.end();
  }
}
