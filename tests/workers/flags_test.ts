/** What workers may do: no more than their table takes, unless the main process was granted more. */
import assert from "node:assert/strict";
import { ownArguments } from "../../lib/io/own_program.ts";
import { Shares } from "../../lib/shares.ts";
import { Keeper } from "../../lib/workers/keeper.ts";
import type { ToBorrower } from "../../lib/workers/messages.ts";
import { eventually, TESTS } from "../support/gateway.ts";
import { tempFolder } from "../support/peers.ts";

const NEEDS = [
  { name: "read", value: "/srv/site/pages" },
  { name: "read", value: "/etc/table.yaml" },
  { name: "net", value: "127.0.0.1:8080" },
  { name: "net", value: "unix:/run/a.sock" },
  { name: "run", value: "/usr/bin/env", isMains: true },
  { name: "run", value: "/usr/lib/cgi/a" },
  { name: "env", value: "TOKEN" },
];

/** The flags that a main process with these would give its workers. */
async function flagsWith(...flags: readonly string[]): Promise<readonly string[]> {
  await using temp = await tempFolder();
  const file = `${temp.path}/main.ts`;
  const module = new URL("../../lib/workers/flags.ts", import.meta.url);
  await Deno.writeTextFile(
    file,
    `import { workerFlags } from "${module}";
console.log((await workerFlags(${JSON.stringify(NEEDS)})).join(" "));`,
  );
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", "--config", `${TESTS}/../deno.json`, ...flags, file],
  }).output();
  assert.equal(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).trim().split(" ");
}

Deno.test("workers: they get what their table takes, but not what is the main process's alone", async () => {
  const flags = await flagsWith(
    "--allow-read=/srv/site/pages,/etc/table.yaml",
    "--allow-net=127.0.0.1:8080,unix:/run/a.sock",
    "--allow-run=/usr/bin/env,/usr/lib/cgi/a",
    "--allow-env=TOKEN",
  );
  assert.deepEqual(flags, [
    "--no-prompt",
    "--allow-read=/srv/site/pages,/etc/table.yaml",
    "--allow-net=127.0.0.1:8080,unix:/run/a.sock",
    "--allow-run=/usr/lib/cgi/a",
    "--allow-env=TOKEN",
  ]);
});

Deno.test("workers: what the main process may beyond that is theirs too, for later tables", async () => {
  const flags = await flagsWith(
    "--allow-read=/srv,/etc/table.yaml",
    "--allow-net=127.0.0.1,unix:/run/a.sock",
    "--allow-env",
  );
  assert.ok(flags.includes("--allow-read=/srv,/etc/table.yaml"), flags.join(" "));
  assert.ok(flags.includes("--allow-net=127.0.0.1,unix:/run/a.sock"), flags.join(" "));
  assert.ok(flags.includes("--allow-env"), flags.join(" "));
  assert.deepEqual(await flagsWith("-A"), ["--no-prompt", "-A"]);
});

Deno.test("ownArguments() are for the runtime, or for a binary that is itself", () => {
  const flags = ["--no-prompt", "--allow-net"];
  const main = TESTS.replace(/tests$/, "main.ts");
  assert.deepEqual(ownArguments(flags, ["worker"], false), [
    "run",
    ...flags,
    "--unstable-net",
    main,
    "worker",
  ]);
  assert.deepEqual(ownArguments(flags, ["worker"], true), ["worker"]);
});

Deno.test("workers: the main process starts for them nothing that the table does not name", async () => {
  const log = { notice: () => {}, program: () => {} };
  const keeper = new Keeper({ shares: new Shares(), log });
  const place = { folder: "/tmp", runDir: "/tmp/none", spoolDir: "/tmp/none" };
  keeper.allow({ place, programs: new Set(["/usr/bin/php-cgi"]) });
  const said: ToBorrower[] = [];
  const client = keeper.admit((message) => void said.push(message));
  const options = { command: [Deno.execPath(), "eval", "1"] };
  client.hear(["borrow", 1, { options, identity: "x" }]);
  await eventually(() => said.length > 0);
  assert.deepEqual(said, [["opened", 1, "Cannot start a program that the table does not name"]]);
  await client.close();
});
