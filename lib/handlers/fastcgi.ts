/**
 * `fastcgi`: an application that outlives its requests (FastCGI 1.0). Either it runs already and is
 * reached at an address (`connect`), or it is started with the server and supervised (`spawn`).
 *
 * Which script a request means is settled here: one for the whole route (`script`), or the one that the
 * path names in a tree (`root`, cut by `split`), or none, for applications that are one program.
 */
import * as v from "valibot";
import { GatewayError } from "../errors.ts";
import type { ByteString, Exchange, Mount, Outcome, SizedBody } from "../exchange.ts";
import { described, duration, environment, fields, list, optional, text, word } from "../fields.ts";
import {
  type Context,
  defineKind,
  type Explanation,
  type Permission,
  type Place,
  type Question,
  type RouteOptions,
  type Service,
  type Shared,
  treePath,
} from "../handler.ts";
import { converse } from "../io/fastcgi_client.ts";
import {
  describeUpstream,
  type OpenUpstream,
  openUpstream,
  upstreamFault,
  upstreamFields,
  upstreamPermissions,
} from "../io/fastcgi_upstream.ts";
import { refuseEncodedSlash, ScriptTree } from "../io/script_finder.ts";
import { resolvePath } from "../values.ts";
import {
  collectEnviron,
  type EnvironFacts,
  type EnvironPlan,
  planEnviron,
  walkEnviron,
} from "../protocol/cgi_environ.ts";
import { byteString, textOf } from "../protocol/latin1.ts";
import { splitScript } from "../protocol/cgi_path.ts";
import { FcgiEncoder } from "../protocol/fastcgi_encoder.ts";

const schema = v.pipe(
  fields({
    ...upstreamFields,
    root: described(optional(text), "The tree of scripts (DOCUMENT_ROOT)."),
    script: described(optional(text), "The one script for every request (SCRIPT_FILENAME)."),
    index: described(optional(text), "The script of a folder; default index.php."),
    split: described(
      optional(list(text)),
      'Suffixes that end a script\'s name in the path; default [".php"].',
    ),
    env: described(optional(environment), "Variables added to the environ; they win."),
    timeout: described(optional(duration), "The longest a request may take."),
    role: described(
      optional(word("responder", "authorizer")),
      "The FastCGI role; default responder.",
    ),
  }),
  v.check(
    ({ connect, spawn }) => (connect === undefined) !== (spawn === undefined),
    "Cannot tell where the application is: write either connect or spawn",
  ),
  v.check(
    ({ script, root }) => script === undefined || root === undefined,
    "Cannot have both: write either script or root",
  ),
  v.check(
    (options) => upstreamFault(options) === undefined,
    ({ input }) => upstreamFault(input) ?? "",
  ),
);

type Options = v.InferOutput<typeof schema>;

export const fastcgi = defineKind({
  summary: "Passes requests to a FastCGI application, running already or started by Portico.",
  schema,
  requestBody: "spool",
  short: "connect",
  describe: describeUpstream,
  permissions,
  explain,
  open: async (options, context) =>
    new FcgiService(options, context, await openUpstream(options, context)),
});

function permissions(options: Options, place: Place): readonly Permission[] {
  const { spawn, root } = options;
  const needs = upstreamPermissions(options, place);
  if (spawn === undefined || root === undefined) return needs;
  const reason = "to find scripts in the tree";
  return [...needs, { name: "read", value: resolvePath(root, place.folder), reason }];
}

async function explain(options: Options, question: Question): Promise<Explanation> {
  const { place, route, exchange, mount } = question;
  const target = describeUpstream(options);
  try {
    const scripts = new Scripts(options, place, route);
    const facts = scripts.find(exchange, mount, undefined);
    return await Promise.resolve({
      target,
      scriptName: facts.scriptName,
      pathInfo: facts.pathInfo,
      environ: collectEnviron(scripts.plan, exchange, facts),
      notes: facts.scriptFilename === undefined ? [] : [`runs ${textOf(facts.scriptFilename)}`],
    });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const status = error instanceof GatewayError ? `would answer ${error.status}: ` : "";
    return { target, ...mount, environ: {}, notes: [status + error.message] };
  }
}

/** Settles SCRIPT_NAME, PATH_INFO and SCRIPT_FILENAME. */
class Scripts {
  readonly plan: EnvironPlan;
  readonly #route: RouteOptions;
  readonly #root: ByteString | undefined;
  /** The tree itself, where it is ours to look at: spawned programs see the files that we see. */
  readonly #tree: ScriptTree | undefined;
  readonly #script: ByteString | undefined;
  readonly #index: ByteString;
  readonly #split: readonly ByteString[];

  constructor(options: Options, place: Place, route: RouteOptions) {
    const { root, script, spawn, index = "index.php", split = [".php"], env = {} } = options;
    const folder = root === undefined ? undefined : resolvePath(root, place.folder);
    this.plan = planEnviron(env, folder);
    this.#route = route;
    this.#root = folder === undefined ? undefined : byteString(folder);
    this.#tree = folder === undefined || spawn === undefined ? undefined : new ScriptTree(folder);
    this.#script = script === undefined ? undefined : byteString(resolvePath(script, place.folder));
    this.#index = byteString(index);
    this.#split = split.map(byteString);
  }

  find(exchange: Exchange, mount: Mount, contentLength: number | undefined): EnvironFacts {
    const { scriptName, pathInfo } = mount;
    if (this.#root === undefined) {
      return { scriptName, pathInfo, scriptFilename: this.#script, contentLength };
    }
    refuseEncodedSlash(exchange);
    const path = treePath(this.#route, mount);
    const named = path === "" || path.endsWith("/") ? `${path || "/"}${this.#index}` : path;
    const found = this.#tree === undefined
      ? this.#cut(this.#root, named, path)
      : this.#look(this.#tree, named, path);
    const before = this.#route.path.endsWith("/*") ? scriptName : "";
    return {
      scriptName: before + found.name,
      pathInfo: found.rest,
      scriptFilename: found.file,
      contentLength,
    };
  }

  /** A tree that only the application sees: the name alone tells what is a script. */
  #cut(root: ByteString, named: ByteString, path: ByteString): Found {
    const split = splitScript(named, this.#split) ?? splitScript(path, this.#split);
    // Anything else that lies in the tree is no script, and php-cgi would run it as one.
    if (split === undefined) throw this.#noScript();
    return { name: split.script, rest: split.rest, file: root + split.script };
  }

  /**
   * A tree that we see: the file along the path is the script, or there is none. PHP itself would go
   * back from `/upload/photo.jpg/x.php` to the photo and run that (cgi.fix_pathinfo).
   */
  #look(tree: ScriptTree, named: ByteString, path: ByteString): Found {
    let found = tree.tryFind(named);
    if (found === undefined && named !== path) found = tree.tryFind(path);
    if (found === undefined) throw this.#noScript();
    const { name, rest, file } = found;
    if (!this.#split.some((suffix) => name.endsWith(suffix))) throw this.#noScript();
    return { name, rest, file: byteString(file) };
  }

  #noScript(): GatewayError {
    return new GatewayError(404, "no-script", `No script (${this.#split}) in the path`);
  }
}

interface Found {
  readonly name: ByteString;
  readonly rest: ByteString;
  readonly file: ByteString;
}

class FcgiService implements Service {
  readonly timeoutMs: number | undefined;
  readonly #context: Context;
  readonly #pool: Shared<OpenUpstream>;
  readonly #scripts: Scripts;
  readonly #role: "responder" | "authorizer";
  /** The plan's constants as name-value pairs, encoded once. */
  readonly #constants: Uint8Array;

  constructor(options: Options, context: Context, pool: Shared<OpenUpstream>) {
    this.timeoutMs = options.timeout;
    this.#context = context;
    this.#pool = pool;
    this.#scripts = new Scripts(options, context.place, context.options);
    this.#role = options.role ?? "responder";
    const encoder = new FcgiEncoder();
    for (const [name, value] of this.#scripts.plan.constants) encoder.pair(name, value);
    this.#constants = encoder.take().slice();
  }

  readonly serve = (exchange: Exchange, mount: Mount) => {
    const facts = this.#scripts.find(exchange, mount, undefined);
    // Most requests have no body, and need not wait for one.
    if (exchange.body === null) return this.#converse(exchange, facts, null);
    return this.#serveBody(exchange, facts);
  };

  async #serveBody(exchange: Exchange, facts: EnvironFacts): Promise<Outcome> {
    const body = await this.#context.sizeBody(exchange);
    const sized = body === null ? facts : { ...facts, contentLength: body.length };
    return await this.#converse(exchange, sized, body);
  }

  #converse(exchange: Exchange, facts: EnvironFacts, body: SizedBody | null): Promise<Outcome> {
    const { options, log } = this.#context;
    return converse(this.#pool.value, {
      exchange,
      role: this.#role,
      body,
      maxReplyHead: options.maxReplyHead,
      log,
      writeParams: (encoder) => {
        walkEnviron(this.#scripts.plan, exchange, facts, encoder);
        encoder.append(this.#constants);
      },
    });
  }

  get state(): OpenUpstream {
    return this.#pool.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}
