/**
 * `deno task compile`, as far as it can be checked without the runtime's own binary for compiled
 * programs: that it packs what is needed, nothing of the tests, and bakes in the table's permissions.
 * Whether the result runs is not claimed here.
 */
import assert from "node:assert/strict";
import { TESTS } from "./support/gateway.ts";

Deno.test("deno task compile packs the gateway with the permissions of its table", async () => {
  const root = TESTS.replace(/\/tests$/, "");
  const folder = await Deno.makeTempDir();
  try {
    const tasks: Readonly<Record<string, { command: string }>> =
      JSON.parse(await Deno.readTextFile(`${root}/deno.json`)).tasks;
    const command = tasks["compile"]?.command.replace(
      "--output portico",
      `--output ${folder}/portico`,
    );
    assert.match(command ?? "", /--output \S+\/portico main\.ts$/);
    // Stands in for the binary that compiled programs are appended to.
    const env = { DENORT_BIN: Deno.execPath(), NO_COLOR: "1" };
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "--eval", command ?? ""],
      cwd: root,
      env,
    }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.ok(success, said);
    for (
      const part of ["main.ts", "protocol", "valibot", "yaml", "wsgi_bridge", "workers"]
    ) {
      assert.ok(said.includes(part), `${part} is embedded\n${said}`);
    }
    for (const part of ["playwright", "fast-check", "tests"]) {
      assert.ok(!said.includes(part), `${part} is not embedded\n${said}`);
    }
    const metadata = await tailOf(`${folder}/portico`, 2 ** 23);
    assert.match(metadata, /"allow_net":\["127\.0\.0\.1:8080"/);
    assert.match(metadata, /"allow_run":\[/);
    assert.match(metadata, /"entrypoint_key":"main\.ts"/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** The last bytes of a file, as text. */
async function tailOf(name: string, bytes: number): Promise<string> {
  using file = await Deno.open(name);
  await file.seek(-bytes, Deno.SeekMode.End);
  const buffer = new Uint8Array(bytes);
  let length = 0;
  for (;;) {
    const count = await file.read(buffer.subarray(length));
    if (count === null || count === 0) break;
    length += count;
  }
  return new TextDecoder("latin1").decode(buffer.subarray(0, length));
}
