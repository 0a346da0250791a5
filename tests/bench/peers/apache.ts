/**
 * Apache: the event MPM with one child process of 256 threads, no access log, connections of clients kept
 * without end. To FastCGI it opens one for each request, as by default: with `enablereuse=on` it answers
 * some requests with 503 (libfcgi closes, it has not noticed).
 */
import type { Contender } from "../model.ts";
import { launch, processTree } from "../processes.ts";

export interface ApacheOptions {
  readonly name?: string;
  /** Beside the event MPM and authz_core, without `mod_`. */
  readonly modules: readonly string[];
  readonly lines: string;
}

const MODULES = "/usr/lib/apache2/modules";

export function apache({ name = "Apache", modules, lines }: ApacheOptions): Contender {
  return {
    name,
    needs: ["apache2"],
    async start(folder, port) {
      const load = ["mpm_event", "authz_core", ...modules]
        .map((module) => `LoadModule ${module}_module ${MODULES}/mod_${module}.so`);
      const file = `${folder}/apache.conf`;
      await Deno.writeTextFile(
        file,
        `${load.join("\n")}
ServerRoot ${folder}
ServerName localhost
PidFile ${folder}/apache.pid
Listen 127.0.0.1:${port}
ListenBacklog 4096
<IfModule mod_cgid.c>
  ScriptSock ${folder}/cgid.sock
</IfModule>
${Deno.uid() === 0 ? "User www-data\nGroup www-data" : ""}
ErrorLog ${folder}/error.log
ServerLimit 1
StartServers 1
ThreadLimit 256
ThreadsPerChild 256
MaxRequestWorkers 256
KeepAlive On
MaxKeepAliveRequests 0
EnableSendfile On
<Directory />
  AllowOverride None
  Require all granted
</Directory>
${lines}
`,
      );
      const { pid, stop } = launch(folder, "apache2", ["-f", file, "-DFOREGROUND"]);
      return { origin: `http://127.0.0.1:${port}`, pids: () => processTree(pid), stop };
    },
  };
}

/** Everything is passed on to one application, by `mod_proxy_*`. */
export function apacheProxy(module: string, target: string): Contender {
  return apache({
    name: `Apache mod_${module}`,
    modules: ["proxy", module],
    lines: `ProxyPass "/" "${target}"\nProxyTimeout 60`,
  });
}
