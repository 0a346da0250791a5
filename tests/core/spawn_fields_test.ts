/** `spawn` as the table writes it: what it comes to, what is said of its faults, what it takes. */
import assert from "node:assert/strict";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { kinds } from "../support/kinds.ts";
import { upstreamPermissions } from "../../lib/io/fastcgi_upstream.ts";
import {
  howToListen,
  processRange,
  socketArguments,
  type SpawnOptions,
} from "../../lib/io/spawn_fields.ts";

function faultsOf(spawn: string): readonly string[] {
  const text = `routes:\n  - path: /\n    fastcgi: {spawn: ${spawn}}\n`;
  try {
    parseTable(text, { file: "routes.yaml", folder: "/srv" }, kinds);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.faults.map(({ column, message }) => `${column}: ${message}`);
  }
  return [];
}

/** The column at which the value of `spawn` begins. */
const START = 22;

const FAULTS: Readonly<Record<string, readonly string[]>> = {
  "''": [`${START}: Cannot be empty: name a program`],
  "{processes: 2}": [`15: Missing key "command": write it here`],
  "{command: a, processes: 0}": [
    `46: Cannot read 0 as a count: write a whole number, 1 or more`,
  ],
  "{command: a, processes: many}": [
    `46: Cannot read "many" as a number of processes: write a count, or {min: 1, max: 8}`,
  ],
  "{command: a, processes: {min: 2}}": [`35: Missing key "max": write it here`],
  "{command: a, processes: {min: -1, max: 2}}": [
    `52: Cannot read -1 as a count: write a whole number, 0 or more`,
  ],
  "{command: a, processes: {min: 3, max: 2}}": [
    `46: Cannot have fewer at most than always: write a max of min or more`,
  ],
  "{command: a, processes: {max: 2, idle: 1}}": [
    `55: Unknown key "idle": the keys here are min, max`,
  ],
  "{command: a, listen: there}": [
    `43: Cannot read "there" as a choice: write self or inherit`,
  ],
  "{command: a, listen: self}": [
    `${START}: Cannot tell the program where to listen: write {socket} where it takes a Unix ` +
    "socket's path",
  ],
  "{command: [a, '{socket}'], user: www}": [
    `${START}: Cannot let another user make a socket in the gateway's folder: the program must ` +
    "inherit it (listen: inherit)",
  ],
  "{command: a, processes: 2, idleTimeout: 1m}": [
    `${START}: Cannot end what idles of a fixed number: write processes as {min, max}`,
  ],
  "{command: a, user: []}": [`41: Cannot read a list as an account: write a name or a number`],
  "{command: a, maxRequests: 0, concurrency: 0}": [
    `48: Cannot read 0 as a count: write a whole number, 1 or more`,
    `64: Cannot read 0 as a count: write a whole number, 1 or more`,
  ],
};

for (const [spawn, faults] of Object.entries(FAULTS)) {
  Deno.test(`spawn: ${spawn} is a fault`, () => assert.deepEqual(faultsOf(spawn), faults));
}

Deno.test("spawn takes what it documents", () => {
  for (
    const spawn of [
      "php-cgi",
      "./app --port 1",
      "[./app, '{socket}']",
      "{command: php-cgi, user: www-data, processes: {max: 8}, idleTimeout: 1m}",
      "{command: [a, '{socket}'], listen: inherit, group: 33, maxRequests: 100, concurrency: 4}",
      "{command: a, cwd: x, env: {A: 1}, startTimeout: 1s, stopTimeout: 1s, guard: false}",
    ]
  ) {
    assert.deepEqual(faultsOf(spawn), []);
  }
});

Deno.test("howToListen() lets the command decide unless it is said", () => {
  const cases: readonly (readonly [SpawnOptions, "self" | "inherit", readonly string[]])[] = [
    [{ command: ["./app"] }, "inherit", []],
    [{ command: ["./app", "-s", "unix:{socket}"] }, "self", []],
    [{ command: ["php-cgi"] }, "self", ["-b", "{socket}"]],
    [{ command: ["/usr/bin/php-cgi8.2", "-n"] }, "self", ["-b", "{socket}"]],
    [{ command: ["php-cgi", "-b", "{socket}"] }, "self", []],
    [{ command: ["php-cgi"], listen: "inherit" }, "inherit", []],
    // It could make no socket in a folder of the gateway's.
    [{ command: ["php-cgi"], user: "www-data" }, "inherit", []],
    [{ command: ["./app", "{socket}"], listen: "inherit" }, "inherit", []],
  ];
  for (const [options, listen, args] of cases) {
    assert.equal(howToListen(options), listen, options.command.join(" "));
    assert.deepEqual(socketArguments(options), args);
  }
});

Deno.test("processRange() reads a number as both ends", () => {
  const command = ["a"];
  assert.deepEqual(processRange({ command }), { min: 1, max: 1 });
  assert.deepEqual(processRange({ command, processes: 3 }), { min: 3, max: 3 });
  assert.deepEqual(processRange({ command, processes: { max: 3 } }), { min: 1, max: 3 });
  assert.deepEqual(processRange({ command, processes: { min: 0, max: 3 } }), { min: 0, max: 3 });
});

const PLACE = { folder: "/srv", runDir: "/run/p", spoolDir: "/tmp/s" };

function grants(spawn: SpawnOptions, pool = {}): string[] {
  return upstreamPermissions({ spawn, pool }, PLACE).map(({ name, value }) => `${name} ${value}`);
}

Deno.test("spawn asks for one socket a process, and one more where they are replaced", () => {
  const sockets = (spawn: SpawnOptions) =>
    grants(spawn).filter((grant) => /^net unix:\/run\/p\/0\/[0-9a-f]{8}-\d\.sock$/.test(grant))
      .length;
  assert.equal(sockets({ command: ["./a"] }), 1);
  assert.equal(sockets({ command: ["./a"], processes: 3 }), 3);
  assert.equal(sockets({ command: ["./a"], processes: { min: 0, max: 3 } }), 3);
  assert.equal(sockets({ command: ["./a"], processes: 3, maxRequests: 100 }), 4);
});

Deno.test("spawn asks for the programs that it runs and the lists that it reads, no other", () => {
  const others = (spawn: SpawnOptions) =>
    grants(spawn).filter((grant) => !grant.startsWith("net "));
  const own = ["run /srv/a", "run sh"];
  const slot = ["read /run/p/0", "write /run/p/0"];
  const command = ["./a"];
  assert.deepEqual(others({ command }), [...own, ...slot]);
  assert.deepEqual(others({ command, guard: false }), ["run /srv/a", ...slot]);
  assert.deepEqual(others({ command, user: "www" }), [...own, "read /etc/passwd", ...slot]);
  assert.deepEqual(others({ command, group: "www" }), [...own, "read /etc/group", ...slot]);
  assert.deepEqual(others({ command, user: 33, group: 33 }), [...own, ...slot]);
  // A number alone does not tell its group.
  assert.deepEqual(others({ command, user: 33 }), [...own, "read /etc/passwd", ...slot]);
});

Deno.test("upstreams that differ in their pools alone have sockets apart", () => {
  const sockets = (pool: object) =>
    grants({ command: ["./a"] }, pool).filter((grant) => /^net/.test(grant));
  assert.notDeepEqual(sockets({}), sockets({ max: 3 }));
  assert.deepEqual(sockets({}), sockets({}));
});
