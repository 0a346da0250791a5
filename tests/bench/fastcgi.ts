/** FastCGI: libfcgi's C responder behind nginx (with and without keep-alive) and behind Portico. */
import { cResponder, FASTCGI_PARAMS, nginx, portico } from "./contenders.ts";
import { compare, type Row } from "./harness.ts";
import type { SuiteOptions } from "./main.ts";

/** As many processes as connections: kept connections each hold one. */
const PROCESSES = 64;

export async function fastcgi({ rounds, seconds }: SuiteOptions): Promise<Row[]> {
  const folder = await Deno.makeTempDir({ prefix: "pb-" });
  await Deno.chmod(folder, 0o755);
  const responder = await cResponder(folder, 2 * PROCESSES);
  try {
    const { socket } = responder;
    return await compare([
      nginx(
        "nginx keep-alive",
        `upstream app { server unix:${socket}; keepalive ${PROCESSES}; }`,
        `${FASTCGI_PARAMS} fastcgi_pass app; fastcgi_keep_conn on;`,
      ),
      nginx("nginx", "", `${FASTCGI_PARAMS} fastcgi_pass unix:${socket};`),
      portico(
        "Portico",
        () =>
          `  - {path: /*, fastcgi: {connect: "unix:${socket}", pool: {max: ${PROCESSES}, maxIdle: ${PROCESSES}}}}`,
      ),
    ], {
      rounds,
      work: [{ connections: 16, seconds }, { connections: 64, seconds }],
    });
  } finally {
    await responder.stop();
    await Deno.remove(folder, { recursive: true });
  }
}
