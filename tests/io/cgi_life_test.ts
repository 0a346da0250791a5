import assert from "node:assert/strict";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { kinds } from "../support/kinds.ts";
import { lifePermissions, openLife } from "../../lib/io/cgi_life.ts";
import { testWith } from "../support/needs.ts";

/** Faults of a route with these lines in its `cgi`, from its line 4 on. */
function faultsOf(...lines: readonly string[]): readonly string[] {
  const fields = lines.map((line) => `      ${line}\n`).join("");
  const text = `routes:\n  - path: /\n    cgi:\n      script: a\n${fields}`;
  try {
    parseTable(text, { file: "routes.yaml", folder: "/srv" }, kinds);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.faults.map(({ line, column, message }) => `${line}:${column}: ${message}`);
  }
  return [];
}

Deno.test("the fields of a program's life take what they mean", () => {
  const rows = [
    "killGroup: true",
    "nice: -20",
    "nice: 19",
    "limits: {}",
    "limits: {cpu: 10s, memory: 256MiB, fileSize: 0, openFiles: 64, processes: 100}",
    "limits: {cpu: 1500ms, memory: 1048576, fileSize: 1GiB, openFiles: 4, processes: 1}",
    "usage: true",
    "queue: 0",
    "queueTimeout: 500ms",
  ];
  for (const row of rows) assert.deepEqual(faultsOf(row), [], row);
});

Deno.test("the fields of a program's life tell their faults", () => {
  const nice = "write a whole number from -20 to 19";
  const rows: [line: string, ...faults: string[]][] = [
    ["killGroup: yes", '5:18: Cannot read "yes" as a switch: write true or false'],
    ["nice: 20", `5:13: Cannot read 20 as a niceness: ${nice}`],
    ["nice: -21", `5:13: Cannot read -21 as a niceness: ${nice}`],
    ["nice: 1.5", `5:13: Cannot read 1.5 as a niceness: ${nice}`],
    ["nice: low", `5:13: Cannot read "low" as a niceness: ${nice}`],
    ["limits: {cpu: 10}", "5:21: Cannot read 10 as a duration: write 500ms, 30s, 2m or 1h"],
    ["limits: {cpu: 500ms}", "5:21: Cannot limit to less than a second: write 1s or more"],
    [
      "limits: {memory: 64}",
      "5:24: Cannot limit to less than a program is: write 1MiB or more",
    ],
    [
      "limits: {fileSize: 1GB}",
      '5:26: Cannot read "1GB" as a size: write a number of bytes, 64KiB, 16MiB or 1GiB',
    ],
    ["limits: {openFiles: 3}", "5:27: Cannot read 3 as a count: write a whole number, 4 or more"],
    ["limits: {processes: 0}", "5:27: Cannot read 0 as a count: write a whole number, 1 or more"],
    ["limits: {openfiles: 9}", '5:16: Unknown key "openfiles": did you mean "openFiles"?'],
    ["limits: 5", "5:15: Cannot read 5 as a map of fields: write field: value"],
    ["usage: 1", "5:14: Cannot read 1 as a switch: write true or false"],
    ["queue: -1", "5:14: Cannot read -1 as a count: write a whole number, 0 or more"],
    ["queueTimeout: 5", "5:21: Cannot read 5 as a duration: write 500ms, 30s, 2m or 1h"],
  ];
  for (const [line, ...faults] of rows) assert.deepEqual(faultsOf(line), faults);
});

Deno.test("lifePermissions() asks for all programs, and says why", () => {
  assert.deepEqual(lifePermissions({}), []);
  assert.deepEqual(lifePermissions({ killGroup: false, limits: {} }), []);
  const reasons = lifePermissions({ usage: true, nice: 1, limits: { cpu: 1000 } }).map((need) => {
    assert.deepEqual([need.name, need.value], ["run", "*"]);
    return need.reason;
  });
  assert.deepEqual(reasons, [
    "to signal a group of processes, and to start one with setsid",
    "to run programs behind time, which may run any",
    "to run programs behind nice, which may run any",
    "to run programs behind prlimit, which may run any",
  ]);
});

testWith(["prlimit", "nice"], "openLife() finds the system's programs by full names", async () => {
  assert.equal(await openLife({}, {}), undefined);
  const wrapping = await openLife({ nice: 1, limits: { openFiles: 64 } }, {});
  const words = wrapping?.words.filter((word) => word.startsWith("/"));
  assert.deepEqual(words?.map((word) => word.slice(word.lastIndexOf("/"))), ["/nice", "/prlimit"]);
});

Deno.test("openLife() says which program is missing", async () => {
  const rows = [
    [{ killGroup: true }, "setsid (of util-linux)"],
    [{ nice: 1 }, "nice (of coreutils)"],
    [{ limits: { cpu: 1000 } }, "prlimit (of util-linux)"],
  ] as const;
  for (const [options, named] of rows) {
    await assert.rejects(openLife(options, {}, "/nowhere"), {
      message: `Cannot find the program ${named}: install it`,
    });
  }
});

testWith(["setsid"], "openLife() names the package of GNU time", async () => {
  const folder = await Deno.makeTempDir({ prefix: "pt-life-" });
  await Deno.symlink("/usr/bin/setsid", `${folder}/setsid`);
  const open = openLife({ usage: true }, {}, folder);
  await assert.rejects(open, /program time \(GNU time, Debian's package time\)/);
  await Deno.writeTextFile(`${folder}/time`, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  await assert.rejects(openLife({ usage: true }, {}, folder), /has to be GNU time/);
  await Deno.remove(folder, { recursive: true });
});

testWith(["prlimit"], "openLife() tells what the system refuses", async () => {
  // More than fs.nr_open allows anybody.
  const tooMany = openLife({ limits: { openFiles: 2 ** 40 } }, {});
  await assert.rejects(tooMany, /with these options: prlimit: .* NOFILE .*not permitted/);
  const tooLittle = openLife({ limits: { memory: 2 ** 20 } }, {});
  await assert.rejects(tooLittle, /^Error: Cannot run a program with these options: \S/);
});

Deno.test({
  name: "openLife() tries as the user that programs run as",
  ignore: Deno.uid() !== 0,
  async fn() {
    assert.ok(await openLife({ nice: -5 }, {}) !== undefined);
    const open = openLife({ nice: -5 }, { uid: 65534, gid: 65534 });
    await assert.rejects(open, /with these options: .*nice: .*Permission denied/);
  },
});
