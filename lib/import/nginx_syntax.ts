/**
 * Reads nginx's configuration language: directives of words, each ended by a semicolon or by a block of
 * further directives. One cursor over the text; every directive knows its line.
 *
 * Spec: none but nginx's own reader, ngx_conf_read_token. A comment begins where a word could; quotes
 * count only at the beginning of a word; a backslash is kept before all but quotes, itself and t, r, n;
 * `${` opens no block. Blocks of Lua are programs and not this language: they are refused.
 */
import { ConfigError } from "../errors.ts";

export interface Directive {
  readonly name: string;
  readonly args: readonly string[];
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** Undefined: it ended with a semicolon. */
  readonly block: readonly Directive[] | undefined;
}

interface Cursor {
  readonly text: string;
  readonly file: string;
  at: number;
  line: number;
}

/**
 * Reads a whole file.
 * @throws {ConfigError} at what is not nginx's language.
 */
export function parseNginx(text: string, file: string): readonly Directive[] {
  const cursor: Cursor = { text: text.replace(/^\ufeff/, ""), file, at: 0, line: 1 };
  return readBlock(cursor, undefined);
}

const MAX_DEPTH = 64;

/** Directives up to the end of the block that began on line `opened`, or of the file. */
function readBlock(
  cursor: Cursor,
  opened: number | undefined,
  depth = 0,
): readonly Directive[] {
  if (depth > MAX_DEPTH) throw fault(cursor, `Cannot read more than ${MAX_DEPTH} nested blocks`);
  const directives: Directive[] = [];
  for (;;) {
    skipSpace(cursor);
    const char = cursor.text[cursor.at];
    if (char === undefined) {
      if (opened === undefined) return directives;
      throw fault(
        cursor,
        `Cannot find the end of the block that begins on line ${opened}: write }`,
      );
    }
    if (char === "}") {
      if (opened === undefined) throw fault(cursor, "Cannot place } here: no block is open");
      cursor.at++;
      return directives;
    }
    directives.push(readDirective(cursor, depth));
  }
}

function readDirective(cursor: Cursor, depth: number): Directive {
  const { file, line } = cursor;
  const words: string[] = [];
  for (;;) {
    skipSpace(cursor);
    const char = cursor.text[cursor.at];
    const [name = "", ...args] = words;
    if (char === ";" || char === "{") {
      if (words.length === 0) throw fault(cursor, `Cannot place ${char} here: name a directive`);
      cursor.at++;
      if (char === ";") return { name, args, file, line, block: undefined };
      if (name.endsWith("_by_lua_block")) {
        throw fault(cursor, `Cannot take over ${name}: it is a program in Lua. Leave it out`);
      }
      return { name, args, file, line, block: readBlock(cursor, line, depth + 1) };
    }
    if (char === "}" || char === undefined) {
      throw fault(
        cursor,
        `Cannot find the end of "${name}", which begins on line ${line}: write ;`,
      );
    }
    words.push(readWord(cursor));
  }
}

function skipSpace(cursor: Cursor): void {
  const { text } = cursor;
  for (;;) {
    const char = text[cursor.at];
    if (char === "#") {
      const end = text.indexOf("\n", cursor.at);
      cursor.at = end < 0 ? text.length : end;
    } else if (char !== undefined && SPACE.has(char)) {
      if (char === "\n") cursor.line++;
      cursor.at++;
    } else return;
  }
}

const SPACE = new Set([" ", "\t", "\r", "\n"]);
const END = new Set([...SPACE, ";", "{"]);
const ESCAPES: Readonly<Record<string, string>> = {
  "t": "\t",
  "r": "\r",
  "n": "\n",
  "\\": "\\",
  '"': '"',
  "'": "'",
};

function readWord(cursor: Cursor): string {
  const { text } = cursor;
  const first = text[cursor.at];
  const quote = first === '"' || first === "'" ? first : undefined;
  const { line } = cursor;
  if (quote !== undefined) cursor.at++;
  let word = "";
  for (;;) {
    const char = text[cursor.at];
    if (char === undefined) {
      if (quote === undefined) return word;
      throw fault({ ...cursor, line }, `Cannot find the end of the text: close it with ${quote}`);
    }
    if (quote === undefined ? END.has(char) && !isVariable(word, char) : char === quote) break;
    if (char === "\n") cursor.line++;
    const escaped = char === "\\" ? text[cursor.at + 1] : undefined;
    word += escaped === undefined ? char : ESCAPES[escaped] ?? `\\${escaped}`;
    cursor.at += escaped === undefined ? 1 : 2;
  }
  if (quote === undefined) return word;
  cursor.at++;
  const next = text[cursor.at];
  if (next === undefined || END.has(next) || next === ")") return word;
  throw fault(cursor, `Cannot place "${next}" behind a closing quote: write a space between`);
}

/** `${name}`: the brace belongs to the word. */
function isVariable(word: string, char: string): boolean {
  return char === "{" && word.endsWith("$");
}

function fault({ text, file, at, line }: Cursor, message: string): ConfigError {
  const column = at - text.lastIndexOf("\n", at - 1);
  return new ConfigError([{ file, line, column, message }]);
}
