/** A module that has changed is in force after a reload, and no request is lost over it. */
import assert from "node:assert/strict";
import { runPortico, startPortico } from "../support/command.ts";
import { eventually, type TestGateway, withGateway } from "../support/gateway.ts";

/** A folder with an application, and a module beside it that the application imports. */
class Sources implements AsyncDisposable {
  private constructor(readonly folder: string) {}

  static async make(): Promise<Sources> {
    const sources = new Sources(await Deno.makeTempDir());
    await sources.write("one", "one");
    return sources;
  }

  get app(): string {
    return `${this.folder}/app.ts`;
  }

  /** Both modules say these from now on. */
  async write(own: string, beside: string): Promise<void> {
    await Deno.writeTextFile(`${this.folder}/beside.ts`, `export const beside = "${beside}";\n`);
    await Deno.writeTextFile(
      this.app,
      `import { beside } from "./beside.ts";
export default async (environ: Record<string, string>, start: (...said: unknown[]) => void) => {
  if (environ.QUERY_STRING === "slow") await new Promise((done) => setTimeout(done, 300));
  start("200 OK", []);
  return [new TextEncoder().encode(\`${own} \${beside}\`)];
};
`,
    );
    // Two changes within the resolution of a file's time would look like one.
    const time = new Date(Date.now() + 1000 * Sources.#changes++);
    await Deno.utime(this.app, time, time);
  }

  async break(): Promise<void> {
    await Deno.writeTextFile(this.app, "export default (\n  const 5;\n");
  }

  table(fields: Record<string, unknown>): string {
    return `routes: ${JSON.stringify([{ path: "/*", wsgi: { app: this.app, ...fields } }])}\n`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }

  static #changes = 0;
}

async function ask(base: string, query = ""): Promise<string> {
  const response = await fetch(`${base}/${query}`);
  assert.equal(response.status, 200);
  return await response.text();
}

/** Asks without a pause while `body` runs and until `last` is answered; gives all that was answered. */
async function askAllThrough(
  { base }: TestGateway,
  body: () => Promise<void>,
  last: string,
): Promise<string[]> {
  let over = false;
  const answers: string[] = [];
  const asking = Array.from({ length: 4 }, async () => {
    while (!over) answers.push(await ask(base));
  });
  await body();
  await eventually(() => answers.includes(last));
  over = true;
  await Promise.all(asking);
  return answers;
}

Deno.test("reload: workers load a changed module anew, with its neighbours, and lose no request", async () => {
  await using sources = await Sources.make();
  const table = sources.table({ isolate: "worker", workers: 2 });
  await withGateway(table, async (gateway) => {
    const slow = ask(gateway.base, "?slow");
    assert.equal(await ask(gateway.base), "one one");
    await sources.write("two", "two");
    const answers = await askAllThrough(gateway, () => gateway.reload(table), "two two");
    assert.deepEqual([...new Set(answers)].sort(), ["one one", "two two"]);
    assert.equal(await slow, "one one");
    assert.equal(await ask(gateway.base), "two two");
  });
});

Deno.test("reload: a changed module that runs inline is imported anew, its neighbours are not", async () => {
  await using sources = await Sources.make();
  const table = sources.table({});
  await withGateway(table, async (gateway) => {
    const slow = ask(gateway.base, "?slow");
    assert.equal(await ask(gateway.base), "one one");
    await sources.write("two", "two");
    await gateway.reload(table);
    assert.equal(await slow, "one one");
    assert.equal(await ask(gateway.base), "two one");
    await gateway.reload(table);
    assert.equal(await ask(gateway.base), "two one");
  });
});

for (const fields of [{}, { isolate: "worker" }]) {
  const how = "isolate" in fields ? "isolated" : "inline";
  Deno.test(`reload: a module that is broken now changes nothing until it is mended (${how})`, async () => {
    await using sources = await Sources.make();
    const table = sources.table(fields);
    await withGateway(table, async (gateway) => {
      await sources.break();
      await assert.rejects(gateway.reload(table), /Cannot import .*app\.ts/);
      assert.equal(await ask(gateway.base), "one one");
      await sources.write("two", "one");
      await gateway.reload(table);
      assert.equal(await ask(gateway.base), "two one");
    });
  });

  Deno.test(`--watch reloads when a module changes (${how})`, async () => {
    await using sources = await Sources.make();
    const file = `${sources.folder}/routes.yaml`;
    await Deno.writeTextFile(file, `server: {listen: "127.0.0.1:0"}\n${sources.table(fields)}`);
    await using running = await startPortico(["serve", "--config", file, "--watch"]);
    assert.equal(await ask(running.base), "one one");
    await sources.write("two", "one");
    await eventually(async () => await ask(running.base) === "two one");
    await sources.write("three", "one");
    await eventually(async () => await ask(running.base) === "three one");
  });
}

Deno.test("--watch reloads when a neighbour of an isolated module changes", async () => {
  await using sources = await Sources.make();
  const file = `${sources.folder}/routes.yaml`;
  const table = sources.table({ isolate: "worker" });
  await Deno.writeTextFile(file, `server: {listen: "127.0.0.1:0"}\n${table}`);
  await using running = await startPortico(["serve", "--config", file, "--watch"]);
  await Deno.writeTextFile(`${sources.folder}/beside.ts`, `export const beside = "two";\n`);
  await eventually(async () => await ask(running.base) === "one two");
});

Deno.test("isolate: workers start with no more than the permissions that `flags` prints", async () => {
  await using sources = await Sources.make();
  const file = `${sources.folder}/routes.yaml`;
  const table = sources.table({ isolate: "worker" });
  await Deno.writeTextFile(file, `server: {listen: "127.0.0.1:0"}\n${table}`);
  const { out } = await runPortico(["flags", "--config", file]);
  const flags = out.trim().split(" ");
  assert.ok(flags.includes("--no-prompt"));
  await using running = await startPortico(["serve", "--config", file], { flags });
  assert.equal(await ask(running.base), "one one");
});
