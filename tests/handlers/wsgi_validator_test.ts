import assert from "node:assert/strict";

/** Runs a module in a runtime that can be told to collect garbage; gives what it says. */
async function run(script: string): Promise<string> {
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const args = ["run", "--no-check", "--quiet", "--config", config, "--v8-flags=--expose-gc", "-"];
  const child = new Deno.Command(Deno.execPath(), {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const input = child.stdin.getWriter();
  await input.write(new TextEncoder().encode(script));
  await input.close();
  return new TextDecoder().decode((await child.output()).stdout);
}

function url(path: string): string {
  return JSON.stringify(new URL(path, import.meta.url).href);
}

Deno.test('the validator tells of a result that was forgotten (PEP 3333 "Specification Details")', async () => {
  const said = await run(`
    import { validator } from ${url("../../lib/protocol/wsgi_validator.ts")};
    import { Stage, PLAIN, pieces } from ${url("../support/wsgi_call.ts")};
    class Watched extends Stage {
      write(text) { console.log(text.trim()); }
    }
    const application = validator((environ, start) => {
      start("200 OK", PLAIN);
      return new Set(pieces("a", "b"));
    });
    const { environ } = new Watched();
    // A server that neither iterates nor closes.
    application(environ, () => () => Promise.resolve());
    for (let turn = 0; turn < 20; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      gc();
    }
  `);
  assert.match(said, /^validator: The result of the application was not closed: .*PEP 3333/);
});
