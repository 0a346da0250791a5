/**
 * CGI: a process per request, behind lighttpd's mod_cgi, Apache's mod_cgid, nginx with fcgiwrap, and
 * Portico. Hello by a static C program and by `/bin/sh`; large bodies down and up.
 */
import { apacheCgid, lighttpdCgi, nginxFcgiwrap, portico } from "./contenders.ts";
import { compare, type Contender, type Row } from "./harness.ts";
import type { SuiteOptions } from "./main.ts";
import { transfer } from "./transfer.ts";

const CONNECTIONS = [1, 16, 64];

export async function cgi({ rounds, seconds, large }: SuiteOptions): Promise<Row[]> {
  const folder = await Deno.makeTempDir({ prefix: "pb-" });
  await Deno.chmod(folder, 0o755);
  try {
    await buildPrograms(folder);
    const rows: Row[] = [];
    for (const program of ["hello.cgi", "hello.sh"]) {
      const work = CONNECTIONS.map((connections) => ({ connections, seconds, label: program }));
      rows.push(...await compare(contenders(folder, program), { rounds, work }));
    }
    const bytes = large ? 2 ** 30 : 2 ** 28;
    rows.push(
      ...await transfer(contenders(folder, `body.cgi?${bytes}`), { rounds, bytes, up: false }),
    );
    rows.push(...await transfer(contenders(folder, "body.cgi"), { rounds, bytes, up: true }));
    return rows;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function contenders(folder: string, program: string): Contender[] {
  const path = `/cgi/${program}`;
  return [
    lighttpdCgi(folder, path),
    apacheCgid(folder, path),
    nginxFcgiwrap(folder, path),
    portico(
      "Portico",
      () => `  - {path: /cgi/*, maxRequestBody: 2GiB, cgi: {root: ${folder}}}`,
      path,
    ),
  ];
}

async function buildPrograms(folder: string): Promise<void> {
  for (const name of ["hello", "body"]) {
    const source = new URL(`./cgi_${name}.c`, import.meta.url).pathname;
    const built = await new Deno.Command("cc", {
      args: ["-O2", "-static", "-o", `${folder}/${name}.cgi`, source],
    }).output();
    if (!built.success) throw new Error(new TextDecoder().decode(built.stderr));
  }
  await Deno.writeTextFile(
    `${folder}/hello.sh`,
    "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\nHello, world!\\n'\n",
    { mode: 0o755 },
  );
}
