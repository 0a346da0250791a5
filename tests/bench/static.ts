/** Static files of four sizes, beside nginx with sendfile and Caddy. */
import { caddy } from "./caddy.ts";
import { nginx, portico } from "./contenders.ts";
import { compare, type Row } from "./harness.ts";
import type { SuiteOptions } from "./main.ts";

const SIZES: Readonly<Record<string, number>> = {
  "1 KiB": 2 ** 10,
  "100 KiB": 100 * 2 ** 10,
  "1 MiB": 2 ** 20,
  "100 MiB": 100 * 2 ** 20,
};

export async function statics({ rounds, seconds }: SuiteOptions): Promise<Row[]> {
  const folder = await Deno.makeTempDir({ prefix: "pb-" });
  await Deno.chmod(folder, 0o755);
  try {
    for (const [label, size] of Object.entries(SIZES)) {
      await Deno.writeFile(folder + pathOf(label), new Uint8Array(size).fill(0x61));
    }
    const rows: Row[] = [];
    for (const [label, size] of Object.entries(SIZES)) {
      const path = pathOf(label);
      const work = size > 2 ** 20
        ? [{ connections: 4, seconds, label }]
        : [{ connections: 16, seconds, label }, { connections: 64, seconds, label }];
      rows.push(
        ...await compare([
          nginx("nginx", "", `root ${folder}; sendfile on; tcp_nopush on;`, path),
          caddy(() => `root * ${folder}\nfile_server`, path),
          portico("Portico", () => `  - {path: /*, static: ${folder}}`, path),
        ], { rounds, work }),
      );
    }
    return rows;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function pathOf(label: string): string {
  return `/${label.replace(" ", "")}`;
}
