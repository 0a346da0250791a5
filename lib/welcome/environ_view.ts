/**
 * An environ as a list for people. Its strings are bytes (PEP 3333) and are shown as the text that they
 * are in UTF-8; its objects are shown by what they are, not by what is in them.
 */
import { textOf } from "../protocol/latin1.ts";
import { html, type Markup } from "./html.ts";

type Entry = readonly [name: string, value: unknown];

/** The groups, in order: a title, and which names are in it. */
const GROUPS: readonly (readonly [title: string, pattern: RegExp])[] = [
  ["The request and the server", /^(?!HTTP_)[^.]+$/],
  ["Header fields of the client", /^HTTP_[^.]*$/],
  ["The application’s side", /^wsgi(org)?\./],
  ["Portico’s own", /^(?!wsgi(org)?\.).*\./],
];

/** The environ, grouped and in order of names. */
export function environList(environ: Iterable<Entry>): Markup {
  const entries = [...environ].sort(([a], [b]) => a < b ? -1 : 1);
  const groups = GROUPS.map(([title, pattern]) => {
    const rows = entries.filter(([name]) => pattern.test(name));
    return rows.length === 0 ? undefined : groupOf(title, rows);
  });
  return html`<div class="environ card">${groups}</div>`;
}

function groupOf(title: string, rows: readonly Entry[]): Markup {
  return html`
    <h3>${title}</h3>
    <dl>
      ${rows.map(rowOf)}
    </dl>
  `;
}

function rowOf([name, value]: Entry): Markup {
  return html`
    <div>
      <dt>${name}</dt>
      <dd>${shown(value)}</dd>
    </div>
  `;
}

function shown(value: unknown): Markup | string {
  if (value === "") return html`<span class="soft">(empty)</span>`;
  if (typeof value === "string") return textOf(value);
  return html`<span class="soft">${sketch(value)}</span>`;
}

/** A value that is no string, in a few words. */
function sketch(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  if (!Array.isArray(value)) return `${value.constructor?.name ?? "Object"} object`;
  const plain = value.every((item) => typeof item !== "object" && typeof item !== "function");
  return plain ? JSON.stringify(value) : `a list of ${value.length}`;
}
