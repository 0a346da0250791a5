/**
 * A program for the process manager to look after: listens on the socket that it is given and does what
 * its clients write: `pid` is answered, `exit N` ends it.
 *
 * Usage: worker.ts SOCKET [stubborn]   (stubborn: deaf to SIGTERM)
 */
const [path = "", mode] = Deno.args;
if (mode === "stubborn") Deno.addSignalListener("SIGTERM", () => say("not now"));

for await (const connection of Deno.listen({ transport: "unix", path })) serve(connection);

async function serve(connection: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(100);
  const count = await connection.read(buffer).catch(() => null);
  const [word, argument] = new TextDecoder().decode(buffer.subarray(0, count ?? 0)).split(" ");
  if (word === "exit") {
    say(`ending with ${argument}`);
    Deno.exit(Number(argument));
  }
  if (word === "pid") await connection.write(new TextEncoder().encode(String(Deno.pid)));
  connection.close();
}

function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}
