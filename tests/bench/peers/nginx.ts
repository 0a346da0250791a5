/**
 * nginx: one worker process unless said, `sendfile`, no access log, connections of clients and of
 * upstreams kept as long as they like.
 */
import type { Contender } from "../model.ts";
import { descendants, launch } from "../processes.ts";

export interface NginxOptions {
  readonly name: string;
  /** The body of the one location, or of the server where it has locations of its own. */
  readonly location: string;
  /** What stands beside the server: `upstream` blocks, caches. */
  readonly http?: (folder: string) => string;
  readonly workers?: number;
}

export function nginx({ name, location, http, workers = 1 }: NginxOptions): Contender {
  return {
    name,
    needs: ["nginx"],
    async start(folder, port) {
      const temp = ["client_body", "fastcgi", "proxy", "uwsgi", "scgi"]
        .map((kind) => `${kind}_temp_path ${folder}/nginx-${kind};`).join(" ");
      const listen = `127.0.0.1:${port} backlog=4096${workers > 1 ? " reuseport" : ""}`;
      const file = `${folder}/nginx.conf`;
      await Deno.writeTextFile(
        file,
        `worker_processes ${workers}; daemon off; pid ${folder}/nginx.pid; error_log stderr crit;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
  access_log off; keepalive_requests 1000000000; client_max_body_size 0;
  sendfile on; tcp_nopush on; default_type text/plain;
  ${temp}
  ${http?.(folder) ?? ""}
  server {
    listen ${listen};
    ${location.includes("location ") ? location : `location / { ${location} }`}
  }
}
`,
      );
      const { pid, stop } = launch(folder, "nginx", [
        ...["-c", file, "-p", folder, "-e", `${folder}/nginx.log`],
      ]);
      // The master only supervises.
      return { origin: `http://127.0.0.1:${port}`, pids: () => descendants(pid), stop };
    },
  };
}

/** An `upstream` block that keeps as many connections as there may be requests at once. */
export function keptUpstream(server: string, kept: number): () => string {
  return () =>
    `upstream app { server ${server}; keepalive ${kept}; keepalive_requests 1000000000; }`;
}

/** As the distributions ship them. */
export const FASTCGI_PARAMS = "include /etc/nginx/fastcgi_params;";
