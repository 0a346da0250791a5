/**
 * `static`: the files of a folder. Which file a path means is settled here: the file itself, the index of
 * a folder, its listing, or what the table has for paths that name nothing.
 */
import * as v from "valibot";
import { GatewayError } from "../errors.ts";
import type { ByteString, Exchange, Mount, Reply } from "../exchange.ts";
import { cannotRead, described, fields, flag, list, optional, text } from "../fields.ts";
import {
  type Context,
  defineKind,
  type Explanation,
  type Permission,
  type Place,
  type Question,
  type RouteOptions,
  type Service,
  treePath,
} from "../handler.ts";
import { fileFields } from "../io/static_fields.ts";
import { FileTree, type Finding, type TreeFile } from "../io/file_tree.ts";
import { listFolder } from "../io/folder_listing.ts";
import { refuseEncodedSlash } from "../io/script_finder.ts";
import { replyToMethod, StaticFiles } from "../io/static_files.ts";
import { toFolder } from "../io/to_folder.ts";
import { byteString } from "../protocol/latin1.ts";
import { mediaTypeOf } from "../protocol/media_type.ts";
import { resolvePath } from "../values.ts";

const notAName = cannotRead("the name of a file", "one without a slash, such as index.html");

const schema = v.pipe(
  fields({
    root: described(text, "The folder of the files."),
    index: described(
      optional(list(v.pipe(v.string(notAName), v.regex(/^[^/.\0][^/\0]*$/, notAName)))),
      "Files that stand for their folder, tried in order; default [index.html].",
    ),
    listing: described(
      optional(flag),
      "Whether a folder without such a file is listed; default false.",
    ),
    ...fileFields,
    notFound: described(
      optional(text),
      "A page of the folder that is sent, with its 404, where there is no file.",
    ),
    fallback: described(
      optional(text),
      "A file of the folder that is sent where there is no file: for applications of a single page.",
    ),
  }),
  v.check(
    ({ notFound, fallback }) => notFound === undefined || fallback === undefined,
    "Cannot have both: write either notFound or fallback",
  ),
);

type Options = v.InferOutput<typeof schema>;

const staticKind = defineKind({
  summary: "Sends the files of a folder.",
  schema,
  requestBody: undefined,
  short: "root",
  describe: ({ root }) => `${root.replace(/\/+$/, "")}/`,
  permissions,
  explain,
  open: async (options, context) => await Promise.resolve(new StaticService(options, context)),
});
export { staticKind as static };

function permissions({ root }: Options, place: Place): readonly Permission[] {
  const value = resolvePath(root, place.folder);
  return [{ name: "read", value, reason: "to send its files" }];
}

async function explain(options: Options, question: Question): Promise<Explanation> {
  const { place, route, exchange, mount } = question;
  const root = resolvePath(options.root, place.folder);
  const told = { target: root, ...mount, environ: {} };
  try {
    const turn = new Files(options, place, route).find(exchange, mount);
    switch (turn.type) {
      case "file": {
        const { path, name } = turn.file;
        const status = turn.status === 200 ? "" : ` with a ${turn.status}`;
        return { ...told, target: path, notes: [`sends it as ${mediaTypeOf(name)}${status}`] };
      }
      case "to-folder":
        return { ...told, notes: ["would answer 308: the path names a folder, without its slash"] };
      case "listing":
        return { ...told, target: turn.folder, notes: ["lists the folder"] };
      default:
        return turn satisfies never;
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const status = error instanceof GatewayError ? `would answer ${error.status}: ` : "";
    return await Promise.resolve({ ...told, notes: [status + error.message] });
  }
}

/** What a path comes to. */
type Turn =
  | { readonly type: "file"; readonly file: TreeFile; readonly status: number }
  | { readonly type: "to-folder" }
  | { readonly type: "listing"; readonly folder: string; readonly place: ByteString };

/** Settles which file a path means. */
class Files {
  readonly tree: FileTree;
  readonly #route: RouteOptions;
  readonly #index: readonly ByteString[];
  readonly #listing: boolean;
  readonly #instead: { readonly place: ByteString; readonly status: number } | undefined;

  constructor(options: Options, place: Place, route: RouteOptions) {
    const { index = ["index.html"], listing = false, notFound, fallback } = options;
    this.tree = new FileTree(resolvePath(options.root, place.folder));
    this.#route = route;
    this.#index = index.map(byteString);
    this.#listing = listing;
    const instead = notFound ?? fallback;
    if (instead === undefined) return;
    const status = notFound === undefined ? 200 : 404;
    this.#instead = { place: byteString(resolvePath(instead, "/")), status };
    // Missing later, it is only a plain 404; missing now, its name is probably misspelt.
    const found = this.tree.find(this.#instead.place);
    if (found.type === "nothing") throw new Error(`Cannot send ${instead}: ${found.why}`);
  }

  /** @throws {GatewayError} 404 by {@link Finding}'s failures, `no-index`; `encoded-slash`. */
  find(exchange: Exchange, mount: Mount): Turn {
    refuseEncodedSlash(exchange);
    const path = treePath(this.#route, mount);
    const found = this.tree.find(path);
    if (found.type === "file" && found.rest === "") return toFile(found);
    if (found.type === "folder") return this.#findIndex(path, found.path);
    return this.#findInstead(
      found.type === "nothing" ? found : { failure: "no-file", why: `${found.path} is no folder` },
    );
  }

  #findIndex(path: ByteString, folder: string): Turn {
    if (!path.endsWith("/")) return { type: "to-folder" };
    for (const name of this.#index) {
      const found = this.tree.find(path + name);
      if (found.type === "file") return toFile(found);
    }
    if (this.#listing) return { type: "listing", folder, place: path };
    return this.#findInstead({ failure: "no-index", why: `${folder} has no index` });
  }

  #findInstead({ failure, why }: Failure): Turn {
    const found = this.#instead && this.tree.find(this.#instead.place);
    if (found?.type === "file") return toFile(found, this.#instead?.status);
    throw new GatewayError(404, failure, why);
  }
}

type Failure = Pick<Extract<Finding, { type: "nothing" }>, "failure" | "why">;

function toFile(file: TreeFile, status = 200): Turn {
  return { type: "file", file, status };
}

class StaticService implements Service {
  readonly #files: Files;
  readonly #sender: StaticFiles;

  constructor(options: Options, { place, options: route }: Context) {
    this.#files = new Files(options, place, route);
    this.#sender = new StaticFiles(this.#files.tree, options);
  }

  readonly serve = (exchange: Exchange, mount: Mount): Reply => {
    const other = replyToMethod(exchange);
    if (other !== undefined) return other;
    const turn = this.#files.find(exchange, mount);
    switch (turn.type) {
      case "file":
        return this.#sender.reply(turn.file, exchange, turn.status);
      case "to-folder":
        return toFolder(exchange);
      case "listing":
        return listFolder(this.#files.tree, { ...turn, path: exchange.path });
      default:
        return turn satisfies never;
    }
  };

  async [Symbol.asyncDispose](): Promise<void> {}
}
