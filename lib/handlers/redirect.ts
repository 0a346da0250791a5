/** `redirect`: sends the client elsewhere; the target may use the pattern's named groups. */
import * as v from "valibot";
import type { ByteString, Exchange, Mount, Reply } from "../exchange.ts";
import { described, fields, optional, text } from "../fields.ts";
import { defineKind } from "../handler.ts";
import { byteString } from "../protocol/latin1.ts";
import { encodePath } from "../protocol/cgi_path.ts";

const schema = fields({
  to: described(
    v.pipe(text, v.check(isTarget, "Cannot redirect there: write /path or an absolute URL")),
    "Where to: a path or an absolute URL; `:name` stands for a group of the route's path, `*` for " +
      "what its final `/*` took. The query is kept unless the target has its own.",
  ),
  status: described(
    optional(
      v.picklist(
        [301, 302, 303, 307, 308],
        "Cannot be a redirect: write 301, 302, 303, 307 or 308",
      ),
    ),
    "301, 302, 303, 307 or 308; default 308.",
  ),
});

export const redirect = defineKind({
  summary: "Redirects the client.",
  schema,
  requestBody: undefined,
  short: "to",
  describe: (options) => options.to,
  permissions: () => [],
  explain: (options, { exchange, mount }) =>
    Promise.resolve({
      target: locationOf(byteString(options.to), exchange, mount),
      ...mount,
      environ: {},
      notes: [],
    }),
  open({ to, status = 308 }) {
    const target = byteString(to);
    const serve = (exchange: Exchange, mount: Mount): Reply => ({
      type: "reply",
      status,
      headers: [["location", locationOf(target, exchange, mount)]],
      body: new Uint8Array(0),
    });
    return Promise.resolve({ serve, async [Symbol.asyncDispose]() {} });
  },
});

const PLACEHOLDER = /:([A-Za-z_]\w*)|\*$/g;

/** Fills the groups in, encoded so that a decoded value cannot break out of its place. */
function locationOf(to: ByteString, exchange: Exchange, mount: Mount): ByteString {
  const filled = to.replace(PLACEHOLDER, (placeholder, name: string | undefined) => {
    if (name === undefined) return encodePath(mount.pathInfo.replace(/^\//, ""));
    const value = mount.params[name];
    return value === undefined ? placeholder : encodePath(value);
  });
  // `//host` in place of a path would name another site.
  const location = to.startsWith("//") ? filled : filled.replace(/^\/{2,}/, "/");
  return exchange.query === "" || to.includes("?") ? location : `${location}?${exchange.query}`;
}

function isTarget(to: string): boolean {
  return /^(\/|[A-Za-z][A-Za-z0-9+.-]*:\/\/)[\x21-\x7e\u0080-\uffff]*$/.test(to);
}
