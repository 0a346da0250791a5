/**
 * What Portico starts of its own accord. This program, to be started once more: a compiled binary is itself, anything else needs
 * the runtime.
 */

/** The word of the command line that starts a worker (`server.workers`). It is for nobody else. */
export const WORKER = "worker";

/** The shell that ends programs, should the gateway be killed. */
export const GUARD_PROGRAM = "sh";

/** The thread that checks passwords. A literal, so that `deno compile` and its readers find the file. */
export const PASSWORD_WORKER = new URL("./password_worker.ts", import.meta.url);

/** The runtime asks for permission to read what a thread is made of. */
export function passwordThreadSource(): string {
  return pathOf(PASSWORD_WORKER);
}

/** What is run. */
export function ownProgram(): string {
  return Deno.execPath();
}

/** The arguments that come to `words` in this program, with these permission flags. */
export function ownArguments(
  flags: readonly string[],
  words: readonly string[],
  isCompiled = Deno.build.standalone,
): readonly string[] {
  // A binary has its permissions inside.
  if (isCompiled) return words;
  const main = new URL("../../main.ts", import.meta.url);
  // What deno.json says of unstable features, for who starts the program without it.
  return [
    "run",
    ...flags,
    "--unstable-net",
    main.protocol === "file:" ? pathOf(main) : main.href,
    ...words,
  ];
}

function pathOf(url: URL): string {
  return decodeURIComponent(url.pathname);
}
