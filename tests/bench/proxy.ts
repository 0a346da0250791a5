/** HTTP: a real nginx as the origin, behind nginx, Caddy and Portico, each with kept connections. */
import { caddy } from "./caddy.ts";
import { nginx, portico } from "./contenders.ts";
import { compare, type Contender, freePort, type Row } from "./harness.ts";
import type { SuiteOptions } from "./main.ts";
import { transfer } from "./transfer.ts";

const LARGE = 100 * 2 ** 20;

export async function proxy({ rounds, seconds }: SuiteOptions): Promise<Row[]> {
  const folder = await Deno.makeTempDir({ prefix: "pb-" });
  await Deno.chmod(folder, 0o755);
  await Deno.mkdir(`${folder}/nginx`, { mode: 0o755 });
  const file = `${folder}/large`;
  await Deno.writeFile(file, new Uint8Array(LARGE).fill(0x61));
  const port = freePort();
  const origin = await nginx(
    "origin",
    "",
    `root ${folder}; default_type text/plain; sendfile on;
     if ($uri = /hello) { return 200 "Hello, world!\\n"; }`,
  ).start(`${folder}/nginx`, port);
  try {
    const work = [{ connections: 16, seconds }, { connections: 64, seconds }];
    return [
      ...await compare(contenders(port, "/hello"), { rounds, work }),
      ...await transfer(contenders(port, "/large"), { rounds, bytes: LARGE, up: false }),
    ];
  } finally {
    await origin.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

function contenders(port: number, path: string): Contender[] {
  const origin = `127.0.0.1:${port}`;
  return [
    caddy(() => `reverse_proxy ${origin}`, path),
    nginx(
      "nginx keep-alive",
      `upstream app { server ${origin}; keepalive 64; keepalive_requests 1000000000; }`,
      `proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";`,
      path,
    ),
    portico("Portico", () => `  - {path: /*, proxy: "http://${origin}"}`, path),
  ];
}
