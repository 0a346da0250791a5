/** A real nginx for one test: one server block, in a folder of its own. */
import { eventually } from "./gateway.ts";
import { which } from "./needs.ts";
import { freePort } from "./peers.ts";

export interface Nginx extends AsyncDisposable {
  readonly port: number;
}

/**
 * Starts nginx; `server` is the body of its server block, `http` what stands around it. Its logs are in
 * the folder.
 */
export async function startNginx(folder: string, server: string, http = ""): Promise<Nginx> {
  const port = freePort();
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/nginx-${name};`).join("\n");
  const config = `${folder}/nginx.conf`;
  await Deno.writeTextFile(
    config,
    `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log;
events {}
http {
  access_log off;
  include /etc/nginx/mime.types;
  ${temp}
  ${http}
  server { listen 127.0.0.1:${port}; ${server} }
}
`,
  );
  const child = new Deno.Command(which("nginx") ?? "nginx", {
    args: ["-p", folder, "-e", `${folder}/nginx.log`, "-c", config],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const stop = async () => {
    child.kill("SIGTERM");
    await child.status;
  };
  try {
    await eventually(() => accepts(port), 5000, `nginx, see ${folder}/nginx.log`);
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, [Symbol.asyncDispose]: stop };
}

/** Whether somebody listens there. */
export async function accepts(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}
