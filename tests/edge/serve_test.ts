/** The edge as the command line serves it: by exactly the permissions that `flags` prints. */
import assert from "node:assert/strict";
import { curl, makeCertificate } from "../support/certificate.ts";
import { runPortico, startPortico } from "../support/command.ts";
import { eventually } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { freePort, tempFolder } from "../support/peers.ts";

const NEEDS = ["openssl", "curl"];
const SECRET = "only-the-cdn-knows-this";
const ENV = { PORTICO_TEST_EDGE: SECRET };
const USERS = "ann:$2y$05$t1UU0MOY0mhyqzZzIELZJ.L2CPfIPwvGkzOHeLvFPRaHIVpP.mhYe\n";

function tableOf(port: number): string {
  return `server:
  listen: 127.0.0.1:${freePort()}
  tls: {cert: ./one.pem, key: one.key, redirect: "127.0.0.1:${port}", hsts: 1h}
  originSecret: {header: X-Key, env: PORTICO_TEST_EDGE}
routes:
  - {path: /inner, auth: {basic: users}, respond: inner}
  - {path: /*, respond: outer}
`;
}

async function setUp(folder: string): Promise<{ file: string; port: number }> {
  await makeCertificate(folder, "one");
  await Deno.writeTextFile(`${folder}/users`, USERS);
  const file = `${folder}/routes.yaml`;
  const port = freePort();
  await Deno.writeTextFile(file, tableOf(port));
  return { file, port };
}

async function flagsOf(file: string): Promise<string[]> {
  return (await runPortico(["flags", "-c", file])).out.trim().split(" ");
}

testWith(
  NEEDS,
  "serve speaks https, asks for passwords and secrets, and takes new certificates",
  async () => {
    await using folder = await tempFolder();
    const { file, port } = await setUp(folder.path);
    const flags = await flagsOf(file);
    await using running = await startPortico(["-c", file], { flags, env: ENV, listeners: 2 });
    const [secure = "", redirect] = running.addresses;
    assert.match(secure, /^https:\/\/127\.0\.0\.1:\d+$/);
    assert.equal(redirect, `http://127.0.0.1:${port}`);
    const key = ["-H", `X-Key: ${SECRET}`];
    assert.equal((await curl(secure)).status, 403);
    const outer = await curl(...key, secure);
    assert.deepEqual([outer.body, outer.version], ["outer", "2"]);
    assert.match(outer.head, /^strict-transport-security: max-age=3600\r?$/m);
    assert.equal((await curl(...key, `${secure}/inner`)).status, 401);
    assert.equal((await curl(...key, "-u", "ann:guess", `${secure}/inner`)).status, 401);
    assert.equal((await curl(...key, "-u", "ann:secret", `${secure}/inner`)).body, "inner");
    const sent = await curl(`${redirect}/a?b`);
    assert.deepEqual([sent.status, /^location: (.*?)\r?$/m.exec(sent.head)?.[1]], [
      ...[308, `${secure}/a?b`],
    ]);
    const two = await makeCertificate(folder.path, "two");
    await Deno.rename(two.cert, `${folder.path}/one.pem`);
    running.signal("SIGHUP");
    await eventually(() => /the table stays as it was: .*is not that of/.test(running.err()));
    await Deno.rename(two.key, `${folder.path}/one.key`);
    running.signal("SIGHUP");
    await eventually(() => running.err().includes("A new certificate on"));
    assert.match((await curl("-v", secure)).error, /subject: CN=two\.test/);
    running.signal("SIGTERM");
    const { code, err } = await running.ended;
    assert.equal(code, 0, err);
    assert.doesNotMatch(err, new RegExp(`${SECRET}|guess`));
  },
);

testWith(NEEDS, "flags grants the edge nothing that it could do without", async () => {
  await using folder = await tempFolder();
  const { file } = await setUp(folder.path);
  const flags = await flagsOf(file);
  for (const flag of flags.filter((flag) => flag.startsWith("--allow-"))) {
    const [name = "", list = ""] = flag.split("=");
    for (const value of list.split(",")) {
      const rest = list.split(",").filter((other) => other !== value).join(",");
      const less = [
        ...flags.filter((other) => other !== flag),
        ...(rest ? [`${name}=${rest}`] : []),
      ];
      const { code, out, err } = await runPortico(["-c", file], { flags: less, env: ENV });
      assert.deepEqual([code, out], [1, ""], value);
      assert.ok(err.includes(value), `${value} is not named in:\n${err}`);
    }
  }
});

testWith(NEEDS, "serve says what is wrong with the edge, and ends", async () => {
  await using folder = await tempFolder();
  const { file } = await setUp(folder.path);
  const fails = async (words: RegExp, env: Record<string, string> = ENV) => {
    const { code, out, err } = await runPortico(["-c", file], { env });
    assert.deepEqual([code, out], [1, ""]);
    assert.match(err, words);
    assert.doesNotMatch(err, /^ +at /m);
  };
  await fails(
    /^portico: Cannot know the origin's secret: set the variable PORTICO_TEST_EDGE$/m,
    {},
  );
  await Deno.writeTextFile(`${folder.path}/users`, "ann:secret\n");
  await fails(
    /Cannot open .*routes\.yaml:6: route "\/inner" \(respond\): Cannot use .*users: line 1/,
  );
  await Deno.writeTextFile(`${folder.path}/users`, USERS);
  await Deno.remove(`${folder.path}/one.key`);
  await fails(/^portico: Cannot read the key .*\/one\.key: there is no such file$/m);
  await Deno.writeTextFile(file, "routes: [{path: /, respond: hi}]");
  const listen = ["--listen", "https://127.0.0.1:0"];
  const { code, err } = await runPortico(["-c", file, ...listen]);
  assert.equal(code, 1);
  assert.match(err, /^portico: Cannot speak https on 127\.0\.0\.1:0: write server\.tls/m);
});
