/**
 * Which real programs a test needs, and which files that come with them. A test whose programs are missing
 * is skipped by name.
 */

/** Where things lie that nobody calls by their bare name, as the distributions have it. */
const ELSEWHERE = [
  "/usr/sbin",
  // git http-backend
  "/usr/lib/git-core",
  "/usr/libexec/git-core",
  // gitweb, its style and its script
  "/usr/share/gitweb",
  "/usr/lib/cgi-bin",
  "/var/www/git",
  "/usr/share/gitweb/static",
  "/var/www/git/static",
  // Perl's modules: CGI.pm
  "/usr/share/perl5",
  "/usr/share/perl5/vendor_perl",
  // DokuWiki: doku.php
  "/usr/share/dokuwiki",
];
const FOLDERS = (Deno.env.get("PATH") ?? "").split(":").concat(ELSEWHERE);

/** The full name of a program or file, or undefined if this machine lacks it. */
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
