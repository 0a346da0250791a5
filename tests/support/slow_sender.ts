/** Clients that send a body at their own pace, over a plain socket, and the table that they talk to. */

export interface Sending {
  /** The Content-Length. */
  readonly promise: number;
  readonly pieces: readonly string[];
  /** Before each piece but the first. */
  readonly everyMs: number;
}

/** A table of one CGI route, `/p`, that answers when all is read: with the body, or what else is said. */
export function formatYaml(
  mode: "spool" | "stream",
  limits: Readonly<Record<string, string>>,
  commands = "cat",
): string {
  const script = `body=$(${commands}); printf 'Content-Type: text/plain\\r\\n\\r\\n%s' "$body"`;
  const cgi = { script: "/bin/sh", args: ["-c", script] };
  const route = { path: "/p", requestBody: mode, cgi };
  const server = Object.entries(limits).map(([key, value]) => `  ${key}: ${value}\n`).join("");
  return `server:\n  accessLog: json\n${server}routes: [${JSON.stringify(route)}]\n`;
}

/** Sends and reads at once: the reply up to its end, and how long it took to begin. */
export async function overSocket(port: number, sending: Sending) {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const start = performance.now();
  const over = { now: false };
  const sent = send(connection, sending, over);
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65_536);
  let reply = "";
  let ms = 0;
  while (!isWhole(reply)) {
    const count = await connection.read(buffer);
    if (count === null) break;
    ms ||= performance.now() - start;
    reply += decoder.decode(buffer.subarray(0, count));
  }
  over.now = true;
  await sent;
  return { reply, ms };
}

async function send(
  connection: Deno.Conn,
  { promise, pieces, everyMs }: Sending,
  over: { readonly now: boolean },
): Promise<void> {
  const head = `POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: ${promise}\r\n\r\n`;
  const encoder = new TextEncoder();
  try {
    await writeAll(connection, encoder.encode(head));
    for (const [i, piece] of pieces.entries()) {
      if (i > 0) await new Promise((resolve) => setTimeout(resolve, everyMs));
      if (over.now) return;
      await writeAll(connection, encoder.encode(piece));
    }
  } catch {
    // The server has hung up: what it said is what counts.
  }
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** The end of chunks, or as many bytes as the head promises. */
function isWhole(reply: string): boolean {
  const end = reply.indexOf("\r\n\r\n");
  if (end === -1) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(reply.slice(0, end))?.[1];
  return length === undefined
    ? reply.endsWith("\r\n0\r\n\r\n")
    : reply.length >= end + 4 + Number(length);
}
