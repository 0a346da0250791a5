/** Caddy as a contender: one process, held to one core as the others are. */
import { type Contender, launch } from "./harness.ts";

/** Caddy over the body of one site block. */
export function caddy(site: (folder: string) => string, path = "/"): Contender {
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
${site(folder)}
}
`,
      );
      const stop = launch("env", [
        ...["GOMAXPROCS=1", `HOME=${folder}`, `XDG_DATA_HOME=${folder}`],
        ...["caddy", "run", "--config", file, "--adapter", "caddyfile"],
      ]);
      return { url: `http://127.0.0.1:${port}${path}`, pids: () => [stop.pid], stop };
    },
  };
}
