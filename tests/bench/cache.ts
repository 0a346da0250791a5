/** Cache hits: a FastCGI hello out of nginx's fastcgi_cache and out of Portico's cache. */
import { cResponder, FASTCGI_PARAMS, nginx, portico } from "./contenders.ts";
import { compare, type Row } from "./harness.ts";
import type { SuiteOptions } from "./main.ts";

export async function cache({ rounds, seconds }: SuiteOptions): Promise<Row[]> {
  const folder = await Deno.makeTempDir({ prefix: "pb-" });
  await Deno.chmod(folder, 0o777);
  const responder = await cResponder(folder, 4);
  try {
    const { socket } = responder;
    return await compare([
      nginx(
        "nginx fastcgi_cache",
        `fastcgi_cache_path ${folder}/store keys_zone=hello:8m max_size=64m;`,
        `${FASTCGI_PARAMS} fastcgi_pass unix:${socket}; fastcgi_cache hello; fastcgi_cache_valid 200 1h;
         fastcgi_cache_key $scheme$host$request_uri; fastcgi_cache_lock on;`,
      ),
      portico(
        "Portico",
        () => `  - {path: /*, fastcgi: {connect: "unix:${socket}"}, cache: {defaultTtl: 1h}}`,
      ),
    ], {
      rounds,
      work: [{ connections: 16, seconds, label: "hit" }, {
        connections: 64,
        seconds,
        label: "hit",
      }],
    });
  } finally {
    await responder.stop();
    await Deno.remove(folder, { recursive: true });
  }
}
