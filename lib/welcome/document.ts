/**
 * The frame around every welcome page, and the header fields that go with it. The Content-Security-Policy
 * allows exactly this style sheet and this script, by their hashes, and nothing from elsewhere.
 */
import type { HeaderPair } from "../exchange.ts";
import { html, Markup } from "./html.ts";
import { STYLE } from "./style.ts";
import { TICKER_SCRIPT } from "./ticker_script.ts";

const UTF8 = new TextEncoder();

const POLICY = [
  "default-src 'none'",
  `style-src ${await sourceHash(STYLE)}`,
  `script-src ${await sourceHash(TICKER_SCRIPT)}`,
  "connect-src 'self'",
  "frame-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const STYLE_ELEMENT = Markup.constant(`<style>${STYLE}</style>`);
const SCRIPT_ELEMENT = Markup.constant(`<script type="module">${TICKER_SCRIPT}</script>`);

/** The gable and columns that give Portico its name. */
const MARK_SHAPE =
  "M16 3 2 10v3h28v-3zM5 15h3v10H5zm6.3 0h3v10h-3zm6.4 0h3v10h-3zM24 15h3v10h-3zM2 27h28v3H2z";
const ICON = "data:image/svg+xml," + encodeURIComponent(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#b4532f" d="${MARK_SHAPE}"/></svg>`,
);

export interface Page {
  readonly title: string;
  readonly header: Markup;
  readonly main: Markup;
  readonly footer: Markup;
  /** True if the page has a ticker for the script to drive. */
  readonly ticks: boolean;
}

/** A whole document, encoded. */
export function renderDocument(page: Page): Uint8Array<ArrayBuffer> {
  const document = html`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>${page.title}</title>
        <link rel="icon" href="${ICON}">
        ${STYLE_ELEMENT} ${page.ticks ? SCRIPT_ELEMENT : undefined}
      </head>
      <body>
        <header>${page.header}</header>
        <main>${page.main}</main>
        <footer>${page.footer}</footer>
      </body>
    </html>
  `;
  return UTF8.encode(document.toString().trimStart());
}

/** A heading with the mark. */
export function brand(title: string): Markup {
  return html`
    <div class="brand">
      <svg viewBox="0 0 32 32" fill="currentColor" aria-hidden="true">
        <path d="${MARK_SHAPE}" />
      </svg>
      <h1>${title}</h1>
    </div>
  `;
}

/** Header fields for a document of so many bytes. */
export function documentHeaders(length: number): HeaderPair[] {
  return [
    ["Content-Type", "text/html; charset=utf-8"],
    ["Content-Length", String(length)],
    ["Content-Security-Policy", POLICY],
    ["X-Content-Type-Options", "nosniff"],
    ["Referrer-Policy", "no-referrer"],
    // The page shows a request's own header fields, cookies among them.
    ["Cache-Control", "no-store"],
  ];
}

async function sourceHash(source: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", UTF8.encode(source)));
  return `'sha256-${digest.toBase64()}'`;
}
