/**
 * What the YAML parser complains of, in the words of a fault: what was read, and what would be right.
 *
 * Some complaints leave the structure in doubt; what else was found would then be noise, so they are
 * reported alone. Of several on one line the first counts: the others follow from it.
 */
import type { Document, YAMLError } from "yaml";
import { quote } from "../values.ts";
import type { Report } from "./position.ts";
import { yaml } from "./yaml_library.ts";

const { visit } = yaml;

/** Codes of complaints about one value; the structure around it is certain. */
const LOCAL: ReadonlySet<string> = new Set([
  "ALIAS_PROPS",
  "BAD_ALIAS",
  "BAD_DIRECTIVE",
  "BAD_DQ_ESCAPE",
  "BAD_SCALAR_START",
  "MULTIPLE_ANCHORS",
  "MULTIPLE_DOCS",
  "MULTIPLE_TAGS",
  "TAG_RESOLVE_FAILED",
]);

/** Reports the parser's complaints; false if the structure of the document is in doubt. */
export function reportSyntax(document: Document.Parsed, text: string, report: Report): boolean {
  let last: number | undefined;
  // Its warnings are of tags and directives that it does not know: read past, they would mislead.
  const errors: YAMLError[] = [...document.errors, ...document.warnings];
  for (const error of errors.sort((a, b) => a.pos[0] - b.pos[0])) {
    const opened = isUnclosed(error) ? findOpening(document, text, error.pos[0]) : undefined;
    const offset = opened ?? error.pos[0];
    const line = text.lastIndexOf("\n", offset - 1);
    if (line === last) continue;
    last = line;
    report(offset, opened === undefined ? describe(error, text) : unclosed(text[opened] ?? ""));
  }
  return errors.every((error) => LOCAL.has(error.code));
}

function isUnclosed({ message }: YAMLError): boolean {
  return message.includes("Missing closing") || message.includes("end with a");
}

/** Where the quote or bracket stands whose content ends at `end`: the place to look, not the end. */
function findOpening(document: Document.Parsed, text: string, end: number): number | undefined {
  let found: number | undefined;
  visit(document, {
    Node(_key, { range }) {
      if (range?.[1] !== end || !`"'[{`.includes(text[range[0]] ?? " ")) return;
      found = range[0];
      return visit.BREAK;
    },
  });
  return found;
}

function unclosed(opener: string): string {
  if (opener === "[") return "Cannot find the end of this list: close it with ]";
  if (opener === "{") return "Cannot find the end of this map: close it with }";
  return `Cannot find the end of this text: close it with ${opener}`;
}

const NO_KEY = 'Cannot read this as "key: value": write a colon and a space after the key';

/** By code, or by the beginning of the parser's own message. */
const WORDING: Readonly<Record<string, string>> = {
  "All ": "Cannot place this line: indent it like the lines it belongs to",
  "Block scalar header includes":
    'Cannot read text on the line of "|" or ">": begin it on the next one, or put all of it in quotes',
  "Comments must": "Cannot begin a comment here: put a space before #",
  "Implicit map keys need": NO_KEY,
  "Not a YAML token": "Cannot place this text here: put it in quotes, or behind a #",
  "Sequence item without":
    'Cannot place this line in the list: indent it like the key above, or begin it with "- "',
  "Unexpected scalar at node end":
    "Cannot read more text behind this value: put all of it in quotes",
  "Unexpected ,": "Cannot find a value before this comma: remove it",
  BAD_DIRECTIVE: "Cannot read this directive: leave it out",
  BLOCK_AS_IMPLICIT_KEY:
    "Cannot begin a map behind a key and its value: put text in quotes, or mend the next line's indent",
  BLOCK_IN_FLOW: "Cannot begin lines of their own within brackets: put text in quotes, maps in { }",
  KEY_OVER_1024_CHARS: "Cannot read a key of more than 1024 characters: write a shorter one",
  MULTILINE_IMPLICIT_KEY: NO_KEY,
  MULTIPLE_DOCS: 'Cannot read a second document: keep all in one, without "---" and "..."',
  RESOURCE_EXHAUSTION: "Cannot nest lists and maps this deep: write them flatter",
  TAB_AS_INDENT: "Cannot indent with a tab: use spaces",
};

function describe(error: YAMLError, text: string): string {
  const source = text.slice(...error.pos);
  switch (error.code) {
    case "BAD_ALIAS":
    case "BAD_SCALAR_START":
      return `Cannot begin plain text with ${quote(source)}: put it in quotes`;
    case "BAD_DQ_ESCAPE":
      return `Cannot read an escape in this text: write \\\\ for a backslash, or use single quotes`;
    case "TAG_RESOLVE_FAILED":
      return `Cannot read the tag ${quote(source)}: leave it out`;
  }
  const prefix = Object.keys(WORDING).find((start) => error.message.startsWith(start));
  const wording = WORDING[prefix ?? error.code];
  return wording ?? `Cannot parse YAML: ${error.message.replace(/^./, (c) => c.toLowerCase())}`;
}
