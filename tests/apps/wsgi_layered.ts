/** An application under the name `application`, with middleware of its own; itself a layer as well. */
import type { Application, Middleware } from "../../lib/protocol/wsgi.ts";

function marking(name: string): Middleware {
  return (inner) => (environ, startResponse) => {
    const marked: typeof startResponse = (status, headers, excInfo) =>
      startResponse(status, [...headers, ["X-Layer", name]], excInfo);
    return inner(environ, marked);
  };
}

export const middleware = [marking("own outermost"), marking("own innermost")];

export const application: Application = (_environ, startResponse) => {
  startResponse("200 OK", []);
  return [];
};

export const layer = marking("route");
export const nothing = () => undefined;
export const fetcher = { fetch: () => new Response("no") };
export const notMiddleware = 5;
