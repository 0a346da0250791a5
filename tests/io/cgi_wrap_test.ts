import assert from "node:assert/strict";
import { startFault, toolsOf, wrap, type WrapOptions, wrappingOf } from "../../lib/io/cgi_wrap.ts";
import { testWith } from "../support/needs.ts";

const COMMAND = { program: "/srv/a.cgi", args: ["-x", "y"], env: { A: "b" }, cwd: "/srv" };
const LIMITS = {
  cpu: 1500,
  memory: 2 ** 28,
  fileSize: 0,
  openFiles: 64,
  processes: 100,
};

function wordsOf(options: WrapOptions): string | undefined {
  return wrappingOf(options, (tool) => `/bin/${tool}`, "MARK")?.words.join(" ");
}

Deno.test("wrappingOf() puts nothing before a program that asks for nothing", () => {
  const rows: WrapOptions[] = [{}, { killGroup: false, usage: false }, { limits: {} }];
  for (const options of rows) {
    assert.deepEqual(toolsOf(options), []);
    assert.equal(wordsOf(options), undefined);
  }
});

Deno.test("wrappingOf() writes each option as its program takes it", () => {
  const rows: [options: WrapOptions, words: string][] = [
    [{ killGroup: true }, "/bin/setsid --"],
    [{ nice: 19 }, "/bin/nice -n 19 --"],
    [{ nice: 0 }, "/bin/nice -n 0 --"],
    [{ nice: -20 }, "/bin/nice -n -20 --"],
    [{ limits: { cpu: 10_000 } }, "/bin/prlimit --cpu=10:11 --"],
    [
      { limits: LIMITS },
      "/bin/prlimit --cpu=2:3 --as=268435456 --fsize=0 --nofile=64 --nproc=100 --",
    ],
    [{ usage: true }, "/bin/setsid /bin/time -q -f MARK %U %S %M %x --"],
    [
      { killGroup: true, nice: 5, limits: { openFiles: 9 }, usage: true },
      "/bin/setsid /bin/time -q -f MARK %U %S %M %x /bin/nice -n 5 /bin/prlimit --nofile=9 --",
    ],
  ];
  for (const [options, words] of rows) assert.equal(wordsOf(options), words);
});

Deno.test("wrap() keeps all of a command but what is started", () => {
  const wrapping = wrappingOf({ killGroup: true, nice: 5 }, (tool) => tool, "MARK");
  assert.ok(wrapping !== undefined);
  const user = { ...COMMAND, uid: 7, gid: 8 };
  assert.deepEqual(wrap(user, wrapping), {
    ...user,
    program: "setsid",
    args: ["nice", "-n", "5", "--", "/srv/a.cgi", "-x", "y"],
    leadsGroup: true,
    runs: "/srv/a.cgi",
    usageMarker: undefined,
  });
});

Deno.test("wrap() leads a group for killGroup and usage alone", () => {
  const rows: [options: WrapOptions, leads: boolean, marker: string | undefined][] = [
    [{ killGroup: true }, true, undefined],
    [{ usage: true }, true, "MARK"],
    [{ nice: 1, limits: LIMITS }, false, undefined],
  ];
  for (const [options, leads, marker] of rows) {
    const wrapping = wrappingOf(options, (tool) => tool, "MARK");
    assert.ok(wrapping !== undefined);
    const { leadsGroup, usageMarker } = wrap(COMMAND, wrapping);
    assert.deepEqual([leadsGroup, usageMarker], [leads, marker]);
  }
});

const TOOLS = ["setsid", "nice", "prlimit", "time"];

testWith(TOOLS, "startFault() knows what could not be started from what failed", async () => {
  const marker = "MARK";
  const folder = await Deno.makeTempDir({ prefix: "pt-wrap-" });
  const missing = `${folder}/missing`;
  const plain = `${folder}/plain`;
  const lost = `${folder}/lost`;
  const failing = `${folder}/failing`;
  await Deno.writeTextFile(plain, "no program", { mode: 0o644 });
  await Deno.writeTextFile(lost, "#!/nowhere/interpreter\n", { mode: 0o755 });
  await Deno.writeTextFile(failing, "#!/bin/sh\necho 'sh: no such thing' >&2\nexit $1\n", {
    mode: 0o755,
  });
  const innermost: WrapOptions[] = [{ killGroup: true }, { nice: 1 }, { usage: true }, {
    limits: { openFiles: 64 },
  }];
  const rows: [program: string, arg: string, failure: string | undefined][] = [
    [missing, "", "script-missing"],
    [lost, "", "script-missing"],
    ["no-such-program-anywhere", "", "script-missing"],
    [plain, "", "script-not-executable"],
    [folder, "", "script-not-executable"],
    [failing, "127", undefined],
    [failing, "126", undefined],
    [failing, "1", undefined],
  ];
  for (const options of innermost) {
    const wrapping = wrappingOf(options, (tool) => tool, marker);
    assert.ok(wrapping !== undefined);
    for (const [program, arg, failure] of rows) {
      const command = wrap({ program, args: [arg], env: {}, cwd: "/" }, wrapping);
      const { code, stderr } = await new Deno.Command(command.program, {
        args: [...command.args],
        stdin: "null",
      }).output();
      const fault = startFault(command, code, new TextDecoder().decode(stderr));
      assert.equal(fault?.failure, failure, `${wrapping.words.join(" ")} ${program} ${arg}`);
      if (fault !== undefined) assert.ok(fault.message.includes(program));
    }
  }
  await Deno.remove(folder, { recursive: true });
});
