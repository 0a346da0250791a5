/** The answer to a path that names a folder and lacks the slash that folders end with. */
import type { Exchange, Reply } from "../exchange.ts";
import { encodePath } from "../protocol/cgi_path.ts";

/**
 * Sends the client to the name with the slash: without it the links of the folder's page would lead
 * elsewhere. The target is made of the decoded path, for a raw one may start with `//host` and lead to
 * another site. 308 rather than 301, which would turn a POST into a GET.
 */
export function toFolder({ path, query }: Exchange): Reply {
  const location = `${encodePath(path)}/${query === "" ? "" : `?${query}`}`;
  return { type: "reply", status: 308, headers: [["location", location]], body: new Uint8Array(0) };
}
