/** The servers that the rows are played against: each sends all it gets on to one application. */
import { withGateway } from "../../support/gateway.ts";
import { startNginx } from "../../support/nginx.ts";
import { tempFolder } from "../../support/peers.ts";

/** Serves while `body` runs. */
export type Serving = (origin: string, body: (port: number) => Promise<void>) => Promise<void>;

export function portico(listener: "deno" | "node"): Serving {
  return (to, body) => {
    const routes = JSON.stringify([{ path: "/*", proxy: { to, preserveHost: true } }]);
    const table = `server:\n  listener: ${listener}\n  accessLog: "off"\nroutes: ${routes}\n`;
    return withGateway(table, ({ port }) => body(port));
  };
}

/** With the Host that the request is for, as its documentation advises. */
export const nginx: Serving = async (origin, body) => {
  await using folder = await tempFolder();
  const proxy = `proxy_pass ${origin}; proxy_http_version 1.1; proxy_set_header Host $host;`;
  await using server = await startNginx(folder.path, `location / { ${proxy} }`);
  await body(server.port);
};
