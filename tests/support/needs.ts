/** Which real programs a test needs. A test whose programs are missing is skipped by name. */

const FOLDERS = (Deno.env.get("PATH") ?? "").split(":").concat("/usr/sbin", "/usr/lib/git-core");

/** The full name of a program, or undefined if this machine lacks it. */
export function which(program: string): string | undefined {
  for (const folder of FOLDERS) {
    try {
      if (Deno.statSync(`${folder}/${program}`).isFile) return `${folder}/${program}`;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/**
 * True if every program is installed. With PORTICO_NO_SKIP set (as in CI) a missing one is an error, so
 * that nothing is skipped unseen.
 */
export function needs(...programs: string[]): boolean {
  const missing = programs.filter((program) => which(program) === undefined);
  if (missing.length > 0 && Deno.env.has("PORTICO_NO_SKIP")) {
    throw new Error(`Tests may not be skipped here, but ${missing.join(", ")} is missing`);
  }
  return missing.length === 0;
}

/** Like `Deno.test`, for a test against real programs: skipped, with the reason in its name, without. */
export function testWith(
  programs: readonly string[],
  name: string,
  body: (t: Deno.TestContext) => void | Promise<void>,
): void {
  const present = needs(...programs);
  Deno.test({
    name: present ? name : `${name} [skipped: needs ${programs.join(", ")}]`,
    ignore: !present,
    fn: body,
  });
}
