/** Applications and middleware for the tests of the `wsgi` kind. */
import type { Application, Middleware } from "../../lib/protocol/wsgi.ts";

const UTF8 = new TextEncoder();

/** Tells how it was called. */
const told: Application = (environ, startResponse) => {
  startResponse("200 OK", [["Content-Type", "application/json"], ["X-App", "default"]]);
  const variables = Object.entries(environ).filter(([, value]) => typeof value === "string");
  return [UTF8.encode(JSON.stringify(Object.fromEntries(variables)))];
};
export default told;

/** Gives the request's body back in upper case, line by line. */
export async function shout(
  ...[environ, startResponse]: Parameters<Application>
): Promise<Uint8Array[]> {
  const lines: Uint8Array[] = [];
  for await (const line of environ["wsgi.input"]) {
    lines.push(UTF8.encode(new TextDecoder().decode(line).toUpperCase()));
  }
  startResponse("200 OK", [["Content-Type", "text/plain"]]);
  return lines;
}

/** Writes to its error stream in pieces, then fails if the path says so. */
export const grumble: Application = (environ, startResponse) => {
  const errors = environ["wsgi.errors"];
  errors.write("one\ntw");
  errors.writelines(["o \u2713\n", "thr"]);
  errors.flush();
  errors.write("ee");
  if (environ.PATH_INFO === "/fail") throw new RangeError("as asked");
  startResponse("200 OK", []);
  return [];
};

/** Promises more, or fewer, bytes than it sends; as an array, or piece by piece. */
export const dishonest: Application = (environ, startResponse) => {
  const [, promised, form] = environ.PATH_INFO.split("/");
  startResponse("200 OK", [["Content-Length", promised ?? "0"]]);
  const pieces = [UTF8.encode("abc"), UTF8.encode("def")];
  return form === "array" ? pieces : new Set(pieces);
};

/** Puts its name into the answer's fields, so that the order of layers shows. */
function marking(name: string): Middleware {
  return (application) => (environ, startResponse) => {
    const trail = environ["test.trail"];
    environ["test.trail"] = typeof trail === "string" ? `${trail} ${name}` : name;
    const start: typeof startResponse = (status, headers, excInfo) =>
      startResponse(status, [...headers, ["X-Trail", String(environ["test.trail"])]], excInfo);
    return application(environ, start);
  };
}

export const outer = marking("outer");
export const inner = marking("inner");
