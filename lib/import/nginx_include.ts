/**
 * `include` followed: the directives of other files in its place. What the files of nginx itself say of
 * parameters and media types Portico knows without them.
 */
import type { Verdicts } from "./nginx_scope.ts";
import { type Directive, parseNginx } from "./nginx_syntax.ts";
import { OTHER_FILES, PARAMETER_FILES } from "./nginx_words.ts";

/** A file that an include names. */
export interface Included {
  readonly file: string;
  readonly text: string;
}

/** The files that a name with `*` stands for, relative to `from`; empty: there are none to be read. */
export type ReadIncluded = (name: string, from: string) => readonly Included[];

const MAX_DEPTH = 8;

/** The directives with all includes followed; each include stays, before what it stands for. */
export function followIncludes(
  directives: readonly Directive[],
  read: ReadIncluded,
  verdicts: Verdicts,
  depth = 0,
): readonly Directive[] {
  return directives.flatMap((directive) => {
    const { block } = directive;
    if (block !== undefined) {
      return [{ ...directive, block: followIncludes(block, read, verdicts, depth) }];
    }
    if (directive.name !== "include") return [directive];
    return [directive, ...follow(directive, read, verdicts, depth)];
  });
}

function follow(
  directive: Directive,
  read: ReadIncluded,
  verdicts: Verdicts,
  depth: number,
): readonly Directive[] {
  const [name = ""] = directive.args;
  if (OTHER_FILES.test(name)) {
    verdicts.moot(directive, "Portico knows what it says");
    return [];
  }
  const files = depth < MAX_DEPTH ? read(name, directive.file) : [];
  if (files.length > 0) {
    verdicts.took(directive, `followed: ${files.map(({ file }) => file).join(", ")}`);
    return files.flatMap(({ file, text }) =>
      followIncludes(parseNginx(text, file), read, verdicts, depth + 1)
    );
  }
  if (!PARAMETER_FILES.test(name)) {
    const isEmpty = name.includes("*");
    if (isEmpty) verdicts.moot(directive, "no file fits");
    else verdicts.left(directive, depth < MAX_DEPTH ? "the file cannot be read" : "too deep");
    return [];
  }
  verdicts.moot(directive, "Portico sets these variables itself");
  return name.endsWith("fastcgi.conf") ? [scriptParameter(directive)] : [];
}

/** What tells fastcgi.conf from fastcgi_params. */
function scriptParameter({ file, line }: Directive): Directive {
  const args = ["SCRIPT_FILENAME", "$document_root$fastcgi_script_name"];
  return { name: "fastcgi_param", args, file, line, block: undefined };
}
