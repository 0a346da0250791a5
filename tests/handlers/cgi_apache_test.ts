/**
 * Finding the script as users of Apache expect: the same folder of programs behind Apache's mod_cgid and
 * behind a `root`, asked for the same paths. What differs differs on purpose, and says so here.
 */
import assert from "node:assert/strict";
import { ask } from "../support/client.ts";
import { eventually, withGateway } from "../support/gateway.ts";
import { testWith, which } from "../support/needs.ts";
import { freePort, tempFolder, writeScript } from "../support/peers.ts";

const TELL =
  '#!/bin/sh\nprintf \'Content-Type: text/plain\\n\\n%s|%s\' "$SCRIPT_NAME" "$PATH_INFO"\n';

/** Paths below the folder that both answer alike: status, and the text of a 200. */
const ALIKE = [
  "a.cgi",
  "a.cgi/",
  "a.cgi/x//y",
  "a.cgi/./x/../y",
  "a.cgi/x%0Ay",
  "a.cgi?x",
  "sub/../a.cgi",
  "sub/b.cgi/x",
  "with%20space",
  // SCRIPT_FILENAME, which is not told here, is the name of the link with Apache, and the file's with us.
  "alias/x",
  "",
  "sub/",
  "empty/",
  "up/",
  "dangling",
  "dangling/x",
  "loop",
  "missing",
  "missing/x",
  "sub/missing",
  "sub.cgi/x",
  "a.cgi%2Fx",
  "a.cgi%0A",
  "%FF",
  "../outside.cgi",
  "..%2Foutside.cgi",
];

/** Where they differ: Apache's status, ours, and why. */
const UNLIKE: readonly [path: string, apache: number, ours: number, why: string][] = [
  ["sub", 301, 308, "a POST stays one"],
  ["plain.txt", 500, 403, "nothing failed: it may not be run"],
  ["fifo", 500, 403, "nor may this"],
  ["garbage.cgi", 500, 502, "the program failed, not the gateway"],
  ["wrong.cgi", 500, 502, "the program failed, not the gateway"],
  ["leak.cgi", 200, 403, "a link leads out of the folder"],
  ["up/outside.cgi", 200, 403, "a link leads out of the folder"],
  [".a.cgi", 200, 403, "a dot-file"],
  [".git/hook", 200, 403, "in a folder that begins with a dot"],
  ...["a.cgi~", "%23a.cgi%23", "a.cgi.bak", "a.cgi.orig", "a.cgi.rej", "a.cgi.swp", "a.cgi.tmp"]
    .concat("a.cgi,v", "a.cgi.dpkg-old", "a.cgi.rpmsave", "a.cgi.save.1")
    .map((name): [string, number, number, string] => [name, 200, 403, "a copy left behind"]),
];

async function scriptFolder(folder: string): Promise<string> {
  const root = `${folder}/root`;
  for (const name of ["sub", "sub.cgi", "empty", ".git"]) {
    await Deno.mkdir(`${root}/${name}`, { recursive: true });
  }
  const left = UNLIKE.filter(([, , , why]) => why === "a copy left behind");
  const programs = ["a.cgi", "sub/b.cgi", "with space", ".a.cgi", ".git/hook", "../outside.cgi"];
  for (const name of [...programs, ...left.map(([name]) => decodeURIComponent(name))]) {
    await writeScript(`${root}/${name}`, TELL);
  }
  await Deno.writeTextFile(`${root}/plain.txt`, TELL, { mode: 0o644 });
  await writeScript(`${root}/garbage.cgi`, "no program at all\n");
  await writeScript(`${root}/wrong.cgi`, "#!/nowhere/interpreter\n");
  const links = [["a.cgi", "alias"], ["../outside.cgi", "leak.cgi"], ["..", "up"]] as const;
  for (const [to, name] of [...links, ["nowhere", "dangling"], ["loop", "loop"]] as const) {
    await Deno.symlink(to, `${root}/${name}`);
  }
  await new Deno.Command("mkfifo", { args: ["-m", "755", `${root}/fifo`] }).output();
  // Apache's processes run as another user.
  await Deno.chmod(folder, 0o755);
  return root;
}

/** Apache with mod_cgid over the folder at `/cgi/`. */
async function startApache(folder: string, root: string) {
  const port = freePort();
  const modules = ["mpm_event", "authz_core", "alias", "cgid", "dir"]
    .map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so\n`).join("");
  await Deno.writeTextFile(
    `${folder}/apache.conf`,
    `${modules}ServerRoot ${folder}
ServerName localhost
PidFile ${folder}/apache.pid
Listen 127.0.0.1:${port}
ScriptSock ${folder}/cgid.sock
${Deno.uid() === 0 ? "User www-data\nGroup www-data" : ""}
ErrorLog ${folder}/error.log
StartServers 1
ServerLimit 1
ThreadsPerChild 4
MaxRequestWorkers 4
ScriptAlias /cgi/ ${root}/
<Directory ${root}>
  Require all granted
</Directory>
`,
  );
  const child = new Deno.Command(which("apache2") ?? "apache2", {
    args: ["-f", `${folder}/apache.conf`, "-DFOREGROUND"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const stop = async () => {
    child.kill("SIGTERM");
    await child.status;
  };
  const answers = () => ask(port, { target: "/cgi/missing" }).then(() => true, () => false);
  try {
    await eventually(answers, 5000, `Apache, see ${folder}/error.log`);
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, [Symbol.asyncDispose]: stop };
}

testWith(
  ["apache2"],
  "cgi: root finds scripts as Apache does, but for what lies there",
  async () => {
    await using folder = await tempFolder();
    const root = await scriptFolder(folder.path);
    await using apache = await startApache(folder.path, root);
    const cgi = { root, index: [] };
    await withGateway(
      `routes: ${JSON.stringify([{ path: "/cgi/*", cgi }])}\n`,
      async ({ port }) => {
        const told = async (port: number, path: string) => {
          const { status, text } = await ask(port, { target: `/cgi/${path}` });
          return status === 200 ? text : status;
        };
        for (const path of ALIKE) {
          assert.equal(await told(port, path), await told(apache.port, path), path);
        }
        for (const [path, theirs, ours, why] of UNLIKE) {
          const statuses = [];
          for (const each of [apache.port, port]) {
            statuses.push((await ask(each, { target: `/cgi/${path}` })).status);
          }
          assert.deepEqual(statuses, [theirs, ours], `${path}: ${why}`);
        }
      },
    );
  },
);
