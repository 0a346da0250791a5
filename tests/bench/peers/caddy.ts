/** Caddy: one process, held to one thread of Go code as the others are to one worker; no logs, no admin. */
import type { Contender } from "../model.ts";
import { launch } from "../processes.ts";

/** `site` is the body of its one site block. */
export function caddy(site: string): Contender {
  return {
    name: "Caddy",
    needs: ["caddy"],
    async start(folder, port) {
      const file = `${folder}/Caddyfile`;
      await Deno.writeTextFile(
        file,
        `{
  admin off
  auto_https off
  log default {
    output discard
  }
}
http://127.0.0.1:${port} {
${site}
}
`,
      );
      const { pid, stop } = launch(folder, "env", [
        ...["GOMAXPROCS=1", `HOME=${folder}`, `XDG_DATA_HOME=${folder}`],
        ...["caddy", "run", "--config", file, "--adapter", "caddyfile"],
      ]);
      // `env` becomes the program that it starts.
      return { origin: `http://127.0.0.1:${port}`, pids: () => [pid], stop };
    },
  };
}
