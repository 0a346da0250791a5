/**
 * `wsgi`: an application in TypeScript, called in the gateway's own process by PEP 3333's convention on
 * web-standard streams (protocol/wsgi.ts holds the contract), or an object with fetch().
 */
import * as v from "valibot";
import type { Exchange, Mount, Reply, SizedBody } from "../exchange.ts";
import { described, environment, fields, flag, list, optional, text } from "../fields.ts";
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
  isMiddlewareName,
  loadApplication,
  moduleFile,
  modulesOf,
  parseModuleName,
  refuseMiddlewareName,
  refuseModuleName,
} from "../io/wsgi_module.ts";
import { collectEnviron, mountFacts, planEnviron } from "../protocol/cgi_environ.ts";
import type { Application, ErrorStream } from "../protocol/wsgi.ts";
import { Call, type Held } from "../protocol/wsgi_call.ts";
import type { Answer } from "../protocol/wsgi_draw.ts";
import { buildEnviron, type EnvironFrame } from "../protocol/wsgi_environ.ts";
import type { FetchHandler } from "../protocol/wsgi_fetch.ts";
import { FetchCall } from "../protocol/wsgi_fetch_call.ts";
import { BodyInput } from "../protocol/wsgi_input.ts";

const moduleName = v.pipe(
  text,
  v.check((name: string) => parseModuleName(name) !== undefined, refuseModuleName),
);

const middlewareName = v.pipe(text, v.check(isMiddlewareName, refuseMiddlewareName));

const schema = fields({
  app: described(
    moduleName,
    "The application, or object with fetch(): ./app.ts (its default export, or the one named " +
      "application) or ./app.ts:name.",
  ),
  middleware: described(
    optional(list(middlewareName)),
    "Middleware around it, outermost first: ./layer.ts (default export), ./layer.ts:name, or what " +
      "comes with Portico, such as portico:gzip.",
  ),
  env: described(optional(environment), "Variables added to the environ; they win."),
  validate: described(
    optional(flag),
    "Checks that application, middleware and server keep to PEP 3333; default: as server.dev.",
  ),
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
    const { app, middleware = [], validate = context.dev } = options;
    const { folder } = context.place;
    const loaded = await loadApplication(app, { middleware, folder, validate });
    return loaded.type === "fetch"
      ? new FetchService(loaded.handler, context)
      : new WsgiService(loaded.application, options, context);
  },
});

/** A module may import its neighbours; what lies elsewhere has to be granted beside. */
function permissions({ app, middleware = [] }: Options, place: Place): readonly Permission[] {
  return [app, ...modulesOf(middleware)].map((name) => {
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

/** A fetch handler with nothing around it, which gets a Request and no environ. */
class FetchService implements Service {
  readonly #handler: FetchHandler;
  readonly #context: Context;

  constructor(handler: FetchHandler, context: Context) {
    this.#handler = handler;
    this.#context = context;
  }

  readonly serve = async (exchange: Exchange, mount: Mount): Promise<Reply> => {
    const body = exchange.body === null ? null : await this.#context.sizeBody(exchange);
    const answer = await new FetchCall(exchange, mount, body).run(this.#handler);
    return replyOf(answer.head, answer.body, exchange, this.#context.log);
  };

  async [Symbol.asyncDispose](): Promise<void> {}
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
