/**
 * The shape of the sources, read from the sources: who may import whom, who may name the runtime, how
 * long a file may be, what lies where. What these rules are for stands in README.md, "How a request
 * travels" and "How to add a kind".
 */
import assert from "node:assert/strict";

const ROOT = new URL("..", import.meta.url).pathname;

/** Names of files below `folder`, relative to the repository, in order. */
function filesBelow(folder: string): string[] {
  return [...Deno.readDirSync(ROOT + folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    return isDirectory ? filesBelow(path) : [path];
  }).sort();
}

/** A source without its comments; strings stay, for `//` in them begins none. */
function codeOf(path: string): string {
  const text = Deno.readTextFileSync(ROOT + path);
  const token = /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
  return text.replace(token, (_, string = "") => string);
}

/** What a source imports: paths of the repository, or names of packages. Type imports count. */
function importsOf(path: string): string[] {
  const pattern = /\b(?:from|import)\s*\(?\s*"([^"]+)"/g;
  return Array.from(codeOf(path).matchAll(pattern), ([, specifier = ""]) => {
    if (!specifier.startsWith(".")) return specifier;
    return new URL(specifier, `file:///${path}`).pathname.slice(1);
  });
}

/** The folder of lib that a path lies in, or the file itself where it lies in none. */
function areaOf(path: string): string {
  const [first, second, third] = path.split("/");
  return first === "lib" && third !== undefined ? `lib/${second}/` : path;
}

const SOURCES = ["main.ts", ...filesBelow("lib").filter((path) => path.endsWith(".ts"))];

/** The pure values that every part may speak of. */
const VALUES = [
  "lib/errors.ts",
  "lib/exchange.ts",
  "lib/ledger.ts",
  "lib/lifeline.ts",
  "lib/trace.ts",
  "lib/part.ts",
  "lib/lender.ts",
];
/** The grammar of values in routes.yaml. */
const GRAMMAR = ["lib/fields.ts", "lib/values.ts"];

/** What each part may import of the others. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "lib/protocol/": VALUES,
  "lib/router/": VALUES,
  "lib/middleware/": ["lib/protocol/"],
  "lib/io/": [...VALUES, ...GRAMMAR, "lib/handler.ts", "lib/middleware/", "lib/protocol/"],
  "lib/handlers/": [...VALUES, ...GRAMMAR, "lib/handler.ts", "lib/protocol/", "lib/io/"],
  "lib/config/": [
    ...VALUES,
    ...GRAMMAR,
    "lib/log_template.ts",
    "lib/maps.ts",
    "lib/handler.ts",
    "lib/protocol/",
    "lib/router/",
  ],
  "lib/draft/": [],
  "lib/import/": ["lib/errors.ts", "lib/draft/", "lib/router/"],
  "lib/deploy/": ["lib/config/", "lib/permissions.ts", "lib/values.ts"],
  "lib/observe/": [...VALUES, "lib/log_template.ts", "lib/handler.ts", "lib/protocol/"],
  "lib/welcome/": [...VALUES, "lib/protocol/"],
  "lib/gateway.ts": [
    ...VALUES,
    "lib/config/",
    "lib/delivery.ts",
    "lib/error_page.ts",
    "lib/handler.ts",
    "lib/observe/",
    "lib/protocol/",
    "lib/receive.ts",
    "lib/response.ts",
    "lib/router/",
    "lib/sweeper.ts",
    "lib/visit.ts",
  ],
};

for (const [area, allowed] of Object.entries(MAY_IMPORT)) {
  Deno.test(`${area} imports only itself and ${allowed.join(", ")}`, () => {
    const sources = SOURCES.filter((path) => areaOf(path) === area);
    assert.ok(sources.length > 0, `there is no ${area} any more`);
    const wrong = sources
      // The registry is where the kinds are gathered.
      .filter((path) => path !== "lib/handlers/mod.ts")
      .flatMap((path) => importsOf(path).map((to) => ({ path, to })))
      .filter(({ to }) => to.startsWith("lib/") && ![area, ...allowed].includes(areaOf(to)));
    assert.deepEqual(wrong, []);
  });
}

Deno.test("a handler never imports another handler", () => {
  const wrong = SOURCES
    .filter((path) => areaOf(path) === "lib/handlers/" && path !== "lib/handlers/mod.ts")
    .filter((path) => importsOf(path).some((to) => areaOf(to) === "lib/handlers/"));
  assert.deepEqual(wrong, []);
});

Deno.test("middleware is written as anybody's could be, with the types of the contract alone", () => {
  const wrong = SOURCES
    .filter((path) => areaOf(path) === "lib/middleware/" && path !== "lib/middleware/mod.ts")
    .flatMap(importsOf)
    .filter((to) => areaOf(to) !== "lib/middleware/" && to !== "lib/protocol/wsgi.ts");
  assert.deepEqual(wrong, []);
});

Deno.test("the registry has one line for each kind, and each kind is one file", () => {
  const files = filesBelow("lib/handlers").filter((path) => !path.endsWith("/mod.ts"));
  assert.deepEqual(importsOf("lib/handlers/mod.ts"), files);
  const lines = codeOf("lib/handlers/mod.ts").trim().split("\n");
  assert.deepEqual(
    lines.filter((line) =>
      !/^ {2}(\w+): async \(\) => \(await import\("\.\/\1\.ts"\)\)\.\1,$/.test(line)
    ),
    ["export const registry = {", "};"],
  );
});

Deno.test("only what is started imports the registry: it is handed down as an argument", () => {
  const importers = SOURCES.filter((path) => importsOf(path).includes("lib/handlers/mod.ts"));
  assert.deepEqual(importers, ["main.ts", "lib/commands/schema.ts"]);
});

Deno.test("only tables import the welcome applications", () => {
  const wrong = SOURCES
    .filter((path) => areaOf(path) !== "lib/welcome/")
    .filter((path) => importsOf(path).some((to) => areaOf(to) === "lib/welcome/"));
  assert.deepEqual(wrong, []);
});

Deno.test("no module imports itself by way of others", () => {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (path: string, way: readonly string[]) => {
    if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(" > "));
    if (done.has(path) || way.includes(path)) return;
    for (const to of importsOf(path)) if (to.startsWith("lib/")) visit(to, [...way, path]);
    done.add(path);
  };
  for (const path of SOURCES) visit(path, []);
  assert.deepEqual(circles, []);
});

/** The parts that touch the world. All others are pure. */
const NAMES_RUNTIME = [
  "main.ts",
  "lib/server.ts",
  "lib/commands/",
  "lib/handlers/",
  "lib/io/",
  "lib/observe/",
  "lib/welcome/",
  "lib/workers/",
];

Deno.test(`"Deno." stands only in ${NAMES_RUNTIME.join(", ")}`, () => {
  const wrong = SOURCES
    .filter((path) => !NAMES_RUNTIME.includes(areaOf(path)))
    .filter((path) => /\bDeno\b/.test(codeOf(path)));
  assert.deepEqual(wrong, []);
});

/** Node's modules would be a way round the rule above: each use has its place. */
const NODE_MODULES: Readonly<Record<string, readonly string[]>> = {
  // Hides from the parser the variables that it would read.
  "lib/config/yaml_library.ts": ["node:process"],
  // Checksums.
  "lib/io/cache_file.ts": ["node:zlib"],
  "lib/protocol/cache_file.ts": ["node:zlib"],
  // Its compressors flush when they are told to; the platform's promise nothing of the kind.
  "lib/io/encoder.ts": ["node:buffer", "node:zlib"],
  // HTTP/2 to origins: sessions are the runtime's, over connections of our own.
  "lib/io/http2_session.ts": ["node:http2"],
  "lib/io/http2_socket.ts": ["node:stream"],
  "lib/io/http2_stream.ts": ["node:http2"],
  "lib/io/listen_socket.ts": ["node:net"],
  // The listener of `server.listener: node`: the runtime has it as Node's alone.
  "lib/io/node_request.ts": ["node:http"],
  "lib/io/node_response.ts": ["node:http"],
  "lib/io/node_server.ts": ["node:http", "node:https", "node:net", "node:stream"],
  "lib/io/raw_upgrade.ts": ["node:stream"],
  // The runtime's own way to ask for a file that may not be there is an error.
  "lib/io/file_tree.ts": ["node:fs"],
  "lib/io/wsgi_module.ts": ["node:url"],
  "lib/io/wsgi_worker.ts": ["node:worker_threads"],
  "lib/io/wsgi_worker_thread.ts": ["node:url", "node:worker_threads"],
  // Decodes several times as fast as the platform's.
  "lib/protocol/latin1.ts": ["node:buffer"],
  "lib/welcome/ticks.ts": ["node:timers/promises"],
};

Deno.test("Node's modules are imported where the list says, and nowhere else", () => {
  const found = SOURCES.flatMap((path) => {
    const modules = importsOf(path).filter((to) => to.startsWith("node:"));
    return modules.length === 0 ? [] : [[path, modules]];
  });
  assert.deepEqual(Object.fromEntries(found), NODE_MODULES);
});

Deno.test("every package of deno.json is imported, and no other", () => {
  const { imports } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
  const tests = filesBelow("tests").filter((path) => path.endsWith(".ts"));
  const packages = [...SOURCES, ...tests].flatMap(importsOf)
    .filter((to) => /^[@a-z]/.test(to) && !/^(node:|lib\/|tests\/|main\.ts)/.test(to))
    .filter((to) => !/\.(m?[jt]s|json)$/.test(to) || to in imports);
  assert.deepEqual([...new Set(packages)].sort(), Object.keys(imports).sort());
});

const MAX_LINES = 320;

Deno.test(`no source has more than ${MAX_LINES} lines`, () => {
  const long = SOURCES
    .map((path) => ({ path, lines: Deno.readTextFileSync(ROOT + path).split("\n").length - 1 }))
    .filter(({ lines }) => lines > MAX_LINES);
  assert.deepEqual(long, []);
});

Deno.test("every source opens with what it is for", () => {
  const silent = SOURCES.filter((path) => {
    const [head = ""] = Deno.readTextFileSync(ROOT + path).split("/**", 1);
    return !/^(import [^;]*;\s*)*$/.test(head);
  });
  assert.deepEqual(silent, []);
});

Deno.test("errors become answers at one place", () => {
  const callers = SOURCES.filter((path) => /\btoGatewayError\(/.test(codeOf(path)));
  assert.deepEqual(callers, ["lib/errors.ts", "lib/gateway.ts"]);
});

Deno.test("request fields become variables at one place", () => {
  const namers = SOURCES.filter((path) => /"HTTP_/.test(codeOf(path)));
  assert.deepEqual(namers, ["lib/protocol/cgi_environ.ts"]);
});

Deno.test("the top level holds what it should and nothing else", () => {
  const ignored = Deno.readTextFileSync(`${ROOT}.gitignore`).split("\n")
    .map((line) => line.replace(/^\/|\/$/g, ""));
  const names = [...Deno.readDirSync(ROOT)].map(({ name }) => name)
    .filter((name) => !name.startsWith(".") && !ignored.includes(name));
  assert.deepEqual(names.sort(), [
    "LICENSE",
    "README.md",
    "deno.json",
    "deno.lock",
    "lib",
    "main.ts",
    "routes.yaml",
    "tests",
  ]);
});
