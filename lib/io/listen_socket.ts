/**
 * Starts a program whose descriptor 0 is a listening socket (FastCGI 1.0 §2.2, FCGI_LISTENSOCK_FILENO).
 *
 * The runtime has no word for that, but its parts can: a listener of `node:net` knows its descriptor
 * (`_handle.fd`), and a command's `stdin` takes the number of one. Neither is documented, so both are
 * used in this file alone, and what fails here says what to do instead. Why not a launcher such as
 * spawn-fcgi or an interpreter: permission to run one is permission to run anything.
 */
import { createServer, type Server } from "node:net";

/** What the name of a socket gets while it must not be found. */
const ASIDE = "~";
/** How long a failure to listen may go untold. */
const SILENCE_MS = 100;

/**
 * Listens on `path` and starts a program that takes over the socket.
 * @throws {Error} when the socket cannot be made, or as {@link Deno.Command}.
 */
export async function spawnListening(
  path: string,
  program: string,
  options: Deno.CommandOptions,
): Promise<Deno.ChildProcess> {
  const server = createServer();
  const failure = new Promise<Error>((resolve) => server.on("error", resolve));
  server.listen(path);
  const fd = descriptorOf(server);
  if (fd === undefined) {
    // A failure to listen is told in a later turn; a runtime without descriptors tells nothing.
    const timer = setTimeout(() => server.emit("error", unable()), SILENCE_MS);
    const reason = await failure;
    clearTimeout(timer);
    throw new Error(`Cannot listen on ${path}: ${reason.message}`);
  }
  // All in one turn: the socket becomes a blocking one, and would block us if we came to accept on it.
  try {
    return start(program, options, fd);
  } finally {
    closeButKeep(server, path);
  }
}

function descriptorOf(server: Server): number | undefined {
  const handle: unknown = Reflect.get(server, "_handle");
  if (typeof handle !== "object" || handle === null) return undefined;
  const fd: unknown = Reflect.get(handle, "fd");
  return typeof fd === "number" && fd >= 0 ? fd : undefined;
}

function start(program: string, options: Deno.CommandOptions, fd: number): Deno.ChildProcess {
  try {
    // The runtime's types know words alone here.
    return new Deno.Command(program, Object.assign({ ...options }, { stdin: fd })).spawn();
  } catch (error) {
    throw error instanceof TypeError ? unable(error) : error;
  }
}

function unable(cause?: Error): Error {
  return new Error(
    "This version of the runtime cannot hand a listening socket to a program: let the program listen " +
      "by itself (listen: self and {socket} in its command), or start it elsewhere and use connect",
    { cause },
  );
}

/** Closing a listener removes its name, and the program listens there now. */
function closeButKeep(server: Server, path: string): void {
  Deno.renameSync(path, path + ASIDE);
  server.close();
  Deno.renameSync(path + ASIDE, path);
}
