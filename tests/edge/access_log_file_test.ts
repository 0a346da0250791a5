/** The access log in a file: moved away and opened anew (SIGUSR1), and exchanged by a reload. */
import assert from "node:assert/strict";
import { runPortico, startPortico } from "../support/command.ts";
import { eventually, withGateway } from "../support/gateway.ts";
import { tempFolder } from "../support/peers.ts";

/** The paths that a log names, in order. */
async function pathsIn(file: string): Promise<string[]> {
  const text = await Deno.readTextFile(file).catch(() => "");
  return Array.from(text.matchAll(/"GET (\S+) /g), ([, path = ""]) => path);
}

async function ask(url: string): Promise<void> {
  await (await fetch(url)).text();
}

Deno.test("SIGUSR1 opens the access log anew: no line is lost, none is written twice", async () => {
  await using temp = await tempFolder();
  const file = `${temp.path}/routes.yaml`;
  await Deno.writeTextFile(
    file,
    `server: {listen: "127.0.0.1:0", accessLogFile: access.log}\nroutes: [{path: /*, respond: hi}]\n`,
  );
  const flags = (await runPortico(["flags", "-c", file])).out.trim().split(" ");
  assert.ok(flags.includes(`--allow-write=${temp.path}/access.log`), flags.join(" "));
  const [log, moved] = [`${temp.path}/access.log`, `${temp.path}/access.log.1`];
  {
    await using running = await startPortico(["-c", file], { flags });
    await ask(`${running.base}/1`);
    await eventually(async () => (await pathsIn(log)).length === 1);
    await Deno.rename(log, moved);
    await ask(`${running.base}/2`);
    running.signal("SIGUSR1");
    await eventually(() => Deno.stat(log).then(() => true, () => false));
    await ask(`${running.base}/3`);
    running.signal("SIGTERM");
    const { code, out } = await running.ended;
    assert.deepEqual([code, out.trim().split("\n").length], [0, 1], "no line on standard output");
  }
  assert.deepEqual([await pathsIn(moved), await pathsIn(log)], [["/1", "/2"], ["/3"]]);
  assert.equal(((await Deno.stat(log)).mode ?? 0) & 0o777, 0o640);
});

Deno.test("a reload takes the access log to another file, and back to standard output", async () => {
  await using temp = await tempFolder();
  const table = (file: string) =>
    `server:\n  accessLog: combined${file}\nroutes: [{path: /*, respond: hi}]`;
  const [one, two] = [`${temp.path}/one`, `${temp.path}/two`];
  await withGateway(table(`\n  accessLogFile: ${one}`), async ({ base, reload, access }) => {
    await ask(`${base}/1`);
    await reload(table(`\n  accessLogFile: ${two}`));
    await ask(`${base}/2`);
    const nowhere = table(`\n  accessLogFile: ${temp.path}/none/log`);
    await assert.rejects(reload(nowhere), /^Error: Cannot write the log .*none\/log: /);
    await ask(`${base}/3`);
    await reload(table(`\n  accessLogFile: ${two}`));
    await ask(`${base}/4`);
    await reload(table(""));
    await ask(`${base}/5`);
    assert.match(await access(), /^[^\n]*"GET \/5 [^\n]*\n$/);
  });
  assert.deepEqual([await pathsIn(one), await pathsIn(two)], [["/1"], ["/2", "/3", "/4"]]);
});
