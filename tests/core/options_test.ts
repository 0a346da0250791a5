import assert from "node:assert/strict";
import { UsageError } from "../../lib/commands/command.ts";
import { readOptions } from "../../lib/commands/options.ts";

const READ: readonly (readonly [line: string, values: object, rest: string])[] = [
  ["", {}, ""],
  ["serve", {}, "serve"],
  ["serve --config a.yaml", { config: ["a.yaml"] }, "serve"],
  ["--config=a=b serve", { config: ["a=b"] }, "serve"],
  ["--config= serve", { config: [""] }, "serve"],
  ["-c a.yaml -cb.yaml", { config: ["a.yaml", "b.yaml"] }, ""],
  ["-l :80 --listen :81 -l:82", { listen: [":80", ":81", ":82"] }, ""],
  ["explain GET / -H a:b -H c:d", { header: ["a:b", "c:d"] }, "explain GET /"],
  ["--watch --json --force", {}, "watch json force"],
  ["-hV", {}, "help version"],
  ["-hc a", { config: ["a"] }, "help"],
  ["init -- --force -c", {}, "init --force -c"],
  ["check - -c -", { config: ["-"] }, "check -"],
];

for (const [line, values, rest] of READ) {
  Deno.test(`readOptions() reads ${JSON.stringify(line)}`, () => {
    const read = readOptions(line.split(" ").filter((word) => word !== ""));
    assert.deepEqual(read.values, { config: [], listen: [], header: [], ...values });
    assert.equal([...read.operands, ...read.switches].join(" "), rest);
  });
}

const REFUSED: Readonly<Record<string, RegExp>> = {
  "--nonsense": /^Unknown option --nonsense$/,
  "--constructor": /^Unknown option --constructor$/,
  "-x": /^Unknown option -x$/,
  "-hx": /^Unknown option -x$/,
  "--watch=yes": /^--watch takes no value$/,
  "--config": /^--config takes a value/,
  "--config --watch": /^--config takes a value/,
  "-c": /^-c takes a value/,
};

for (const [line, message] of Object.entries(REFUSED)) {
  Deno.test(`readOptions() refuses ${JSON.stringify(line)}`, () => {
    assert.throws(() => readOptions(line.split(" ")), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      return true;
    });
  });
}
