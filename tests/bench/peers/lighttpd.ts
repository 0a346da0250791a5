/**
 * lighttpd: one process, `sendfile`, kept connections without end. To applications it opens a connection
 * for each request: it knows no other way. Replies are streamed, which its manual recommends for large ones.
 */
import type { Contender } from "../model.ts";
import { launch } from "../processes.ts";

export interface LighttpdOptions {
  readonly name?: string;
  readonly modules?: readonly string[];
  readonly root?: string;
  /** Further lines. */
  readonly lines: string;
}

export function lighttpd(
  { name = "lighttpd", modules = [], root, lines }: LighttpdOptions,
): Contender {
  return {
    name,
    needs: ["lighttpd"],
    async start(folder, port) {
      const file = `${folder}/lighttpd.conf`;
      await Deno.writeTextFile(
        file,
        `server.document-root = "${root ?? folder}"
server.bind = "127.0.0.1"
server.port = ${port}
server.upload-dirs = ("${folder}")
server.max-keep-alive-requests = 0
server.max-fds = 16384
server.listen-backlog = 4096
server.max-request-size = 0
server.stream-response-body = 1
server.modules = (${modules.map((module) => `"${module}"`).join(", ")})
${lines}
`,
      );
      const { pid, stop } = launch(folder, "lighttpd", ["-D", "-f", file]);
      return { origin: `http://127.0.0.1:${port}`, pids: () => [pid], stop };
    },
  };
}
