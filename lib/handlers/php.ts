/**
 * `php`: a folder is a PHP site. Files are sent, scripts run, and all else goes to the front controller;
 * which is which is settled in php_site. The scripts run in php-cgi, started with the server unless the
 * table says otherwise.
 */
import * as v from "valibot";
import { GatewayError } from "../errors.ts";
import type { Exchange, Mount, Outcome, SizedBody } from "../exchange.ts";
import {
  cannotRead,
  described,
  dictionary,
  duration,
  environment,
  fields,
  list,
  literal,
  optional,
  text,
} from "../fields.ts";
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
  type UpstreamOptions,
  upstreamPermissions,
} from "../io/fastcgi_upstream.ts";
import { fileFields } from "../io/static_fields.ts";
import type { TreeFile } from "../io/file_tree.ts";
import { PhpSite } from "../io/php_site.ts";
import { refuseEncodedSlash } from "../io/script_finder.ts";
import { StaticFiles } from "../io/static_files.ts";
import { toFolder } from "../io/to_folder.ts";
import {
  collectEnviron,
  type EnvironFacts,
  type EnvironPlan,
  planEnviron,
  walkEnviron,
} from "../protocol/cgi_environ.ts";
import { byteString } from "../protocol/latin1.ts";
import { FcgiEncoder } from "../protocol/fastcgi_encoder.ts";
import { mediaTypeOf } from "../protocol/media_type.ts";
import { resolvePath } from "../values.ts";

const PROCESSES = 4;

const notASetting = cannotRead("the name of a PHP setting", "one such as memory_limit");
const notAValue = cannotRead("the value of a PHP setting", "text of one line");

const schema = v.pipe(
  fields({
    root: described(text, "The folder of the site (DOCUMENT_ROOT)."),
    ...upstreamFields,
    spawn: described(
      upstreamFields.spawn,
      `A command to start with the server, or a map; default: php-cgi in ${PROCESSES} processes.`,
    ),
    index: described(
      optional(v.pipe(
        text,
        v.regex(
          /^[^/.][^/]*(?:\/[^/.][^/]*)*$/,
          cannotRead("a file of the folder", "index.php, without a slash before it"),
        ),
      )),
      "The front controller, which takes all paths that name nothing; default index.php.",
    ),
    split: described(
      optional(v.pipe(list(text), v.minLength(1, "Cannot be empty: write a suffix"))),
      'Suffixes of scripts; default [".php"].',
    ),
    ini: described(
      optional(dictionary(
        v.pipe(v.string(), v.regex(/^[A-Za-z_][\w.]*$/, notASetting)),
        v.pipe(literal, v.regex(/^[^\0\r\n]*$/, notAValue)),
      )),
      "PHP's settings for the php-cgi that is started by default, such as {memory_limit: 256M}.",
    ),
    env: described(optional(environment), "Variables added to the environ; they win."),
    timeout: described(optional(duration), "The longest a request may take."),
    ...fileFields,
  }),
  v.check(
    ({ connect, spawn }) => connect === undefined || spawn === undefined,
    "Cannot have both: write either connect or spawn",
  ),
  v.check(
    ({ connect, spawn, ini }) =>
      ini === undefined || (connect === undefined && spawn === undefined),
    "Cannot reach PHP's settings there: ini is for the php-cgi that is started by default",
  ),
  v.check(
    (options) => upstreamFault(withSpawn(options)) === undefined,
    ({ input }) => upstreamFault(withSpawn(input)) ?? "",
  ),
);

/** Without either, processes are started. */
function withSpawn(options: UpstreamOptions): UpstreamOptions {
  const { connect, spawn = connect === undefined ? ["php-cgi"] : undefined } = options;
  return { ...options, spawn };
}

type Options = v.InferOutput<typeof schema>;

export const php = defineKind({
  summary: "Serves a folder as a PHP site: files, scripts and a front controller.",
  schema,
  requestBody: "spool",
  short: "root",
  describe: ({ root }) => `${root.replace(/\/+$/, "")}/`,
  permissions,
  explain,
  open: async (options, context) => {
    const site = siteOf(options, context.place);
    const upstream = await openUpstream(upstreamOf(options, context.options), context);
    return new PhpService(options, context, { site, upstream });
  },
});

function permissions(options: Options, place: Place, route: RouteOptions): readonly Permission[] {
  const reason = "to send its files and find its scripts";
  return [
    { name: "read", value: resolvePath(options.root, place.folder), reason },
    ...upstreamPermissions(upstreamOf(options, route), place),
  ];
}

/**
 * Where the scripts run. PHP has limits of its own for uploads, 2 and 8 MiB as it comes, and empties a
 * form that passes them without a word: those of the php-cgi that we start are the route's.
 */
function upstreamOf(options: Options, { maxRequestBody }: RouteOptions): UpstreamOptions {
  if (options.connect !== undefined || options.spawn !== undefined) return options;
  const limit = String(maxRequestBody);
  const ini = { post_max_size: limit, upload_max_filesize: limit, ...options.ini };
  const settings = Object.entries(ini).flatMap(([name, value]) => ["-d", `${name}=${value}`]);
  const command = ["php-cgi", ...settings];
  return { ...options, spawn: { command, processes: PROCESSES } };
}

function siteOf({ root, index, split }: Options, place: Place): PhpSite {
  return new PhpSite(resolvePath(root, place.folder), { index, split });
}

function scriptFacts(
  { place, rest, real }: TreeFile,
  { path }: RouteOptions,
  mount: Mount,
): EnvironFacts {
  const before = path.endsWith("/*") ? mount.scriptName : "";
  return {
    scriptName: before + place,
    pathInfo: rest,
    // With its links resolved, for opcache keeps scripts by name: a new release is a new name.
    scriptFilename: byteString(real),
    contentLength: undefined,
  };
}

async function explain(options: Options, question: Question): Promise<Explanation> {
  const { place, route, exchange, mount } = question;
  const target = describeUpstream(upstreamOf(options, route));
  const told = { target, ...mount, environ: {} };
  try {
    refuseEncodedSlash(exchange);
    const turn = siteOf(options, place).find(treePath(route, mount));
    switch (turn.type) {
      case "file": {
        const { path, name } = turn.file;
        return { ...told, target: path, notes: [`sends the file as ${mediaTypeOf(name)}`] };
      }
      case "to-folder":
        return { ...told, notes: ["would answer 308: the path names a folder, without its slash"] };
      case "script": {
        const { file, isFront } = turn;
        const facts = scriptFacts(file, route, mount);
        const { scriptName, pathInfo } = facts;
        const plan = planEnviron(options.env ?? {}, file.realRoot);
        const environ = collectEnviron(plan, exchange, facts);
        const why = isFront ? ", the front controller" : "";
        return { target, scriptName, pathInfo, environ, notes: [`runs ${file.real}${why}`] };
      }
      default:
        return turn satisfies never;
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const status = error instanceof GatewayError ? `would answer ${error.status}: ` : "";
    return await Promise.resolve({ ...told, notes: [status + error.message] });
  }
}

/** A plan, and its constants as name-value pairs, encoded once. */
interface Prepared {
  readonly realRoot: string;
  readonly plan: EnvironPlan;
  readonly constants: Uint8Array;
}

function prepare(env: Readonly<Record<string, string>>, realRoot: string): Prepared {
  const plan = planEnviron(env, realRoot);
  const encoder = new FcgiEncoder();
  for (const [name, value] of plan.constants) encoder.pair(name, value);
  return { realRoot, plan, constants: encoder.take().slice() };
}

class PhpService implements Service {
  readonly timeoutMs: number | undefined;
  readonly #context: Context;
  readonly #env: Readonly<Record<string, string>>;
  readonly #site: PhpSite;
  readonly #files: StaticFiles;
  readonly #upstream: Shared<OpenUpstream>;
  #prepared: Prepared | undefined;

  constructor(
    options: Options,
    context: Context,
    { site, upstream }: { readonly site: PhpSite; readonly upstream: Shared<OpenUpstream> },
  ) {
    this.timeoutMs = options.timeout;
    this.#context = context;
    this.#env = options.env ?? {};
    this.#site = site;
    this.#files = new StaticFiles(site.tree, options);
    this.#upstream = upstream;
  }

  readonly serve = (exchange: Exchange, mount: Mount): Outcome | Promise<Outcome> => {
    refuseEncodedSlash(exchange);
    const turn = this.#site.find(treePath(this.#context.options, mount));
    switch (turn.type) {
      case "file":
        return this.#files.reply(turn.file, exchange);
      case "to-folder":
        return toFolder(exchange);
      case "script":
        return this.#run(turn.file, exchange, mount);
      default:
        return turn satisfies never;
    }
  };

  #run(file: TreeFile, exchange: Exchange, mount: Mount): Promise<Outcome> {
    const facts = scriptFacts(file, this.#context.options, mount);
    // Most requests have no body, and need not wait for one.
    if (exchange.body === null) return this.#converse(file, exchange, facts, null);
    return this.#runWith(file, exchange, facts);
  }

  async #runWith(file: TreeFile, exchange: Exchange, facts: EnvironFacts): Promise<Outcome> {
    const body = await this.#context.sizeBody(exchange);
    const sized = body === null ? facts : { ...facts, contentLength: body.length };
    return await this.#converse(file, exchange, sized, body);
  }

  #converse(
    file: TreeFile,
    exchange: Exchange,
    facts: EnvironFacts,
    body: SizedBody | null,
  ): Promise<Outcome> {
    const { options, log } = this.#context;
    const { plan, constants } = this.#prepare(file.realRoot);
    return converse(this.#upstream.value, {
      exchange,
      role: "responder",
      body,
      maxReplyHead: options.maxReplyHead,
      log,
      writeParams: (encoder) => {
        walkEnviron(plan, exchange, facts, encoder);
        encoder.append(constants);
      },
    });
  }

  /** The folder may be a link that each deployment turns to its own release. */
  #prepare(realRoot: string): Prepared {
    if (this.#prepared?.realRoot !== realRoot) this.#prepared = prepare(this.#env, realRoot);
    return this.#prepared;
  }

  get state(): OpenUpstream {
    return this.#upstream.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#upstream[Symbol.asyncDispose]();
  }
}
