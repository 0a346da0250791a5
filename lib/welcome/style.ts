/** The one style sheet of the welcome pages: light and dark, phone and desk, no outside resource. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fbfaf7;
  --card: #ffffff;
  --ink: #23201c;
  --soft: #665f56;
  --line: #e2ddd3;
  --accent: #9a3a1c;
  --tint: #f4eee6;
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "URW Palladio L", P052, Georgia, serif;
  --mono: ui-monospace, "SF Mono", SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #171513;
    --card: #1f1d1a;
    --ink: #ece7df;
    --soft: #a89f93;
    --line: #37332d;
    --accent: #eb9a78;
    --tint: #2a2622;
  }
}
*, ::before, ::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto;
  max-width: 50rem;
  padding: 3.5rem 1.5rem 4rem;
  background: var(--paper);
  color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  overflow-wrap: break-word;
}
h1, h2 { font-family: var(--serif); font-weight: 500; line-height: 1.2; text-wrap: balance; }
h1 { margin: 0; font-size: 2.5rem; letter-spacing: -0.01em; }
h2 { margin: 0 0 0.25rem; font-size: 1.5rem; }
p { margin: 0 0 1rem; text-wrap: pretty; }
section { margin-top: 3.5rem; }
a { color: var(--accent); text-underline-offset: 0.2em; text-decoration-thickness: 1px; }
a:hover { text-decoration-thickness: 2px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; border-radius: 2px; }
code { font-family: var(--mono); font-size: 0.875em; font-variant-ligatures: none; }
.soft { color: var(--soft); }
.lede { margin: 0.75rem 0 0; max-width: 34em; font-size: 1.2rem; line-height: 1.5; }
.lede + p { margin-top: 0.75rem; max-width: 43em; }
.brand { display: flex; align-items: center; gap: 0.9rem; }
.brand svg { width: 2.75rem; height: 2.75rem; flex: none; color: var(--accent); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 0.6rem; }

table { width: 100%; border-collapse: collapse; text-align: left; }
th, td { padding: 0.7rem 1rem; vertical-align: top; border-top: 1px solid var(--line); font-weight: 400; }
thead th { border-top: 0; font-size: 0.8125rem; color: var(--soft); }
tbody:first-child tr:first-child > * { border-top: 0; }
.routes th code { font-size: 0.9375rem; font-weight: 600; }
.routes tr > :last-child { text-align: right; white-space: nowrap; }
.kind {
  display: inline-block; padding: 0 0.5em; border-radius: 0.3rem;
  background: var(--tint); color: var(--ink); font: 0.8125rem/1.7 var(--mono);
}
.what { display: block; }
.target {
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
  font: 0.8125rem/1.5 var(--mono); color: var(--soft); line-break: anywhere;
}

.ticker { display: flex; align-items: baseline; gap: 0.25rem 1rem; flex-wrap: wrap; }
.ticker.card { margin: 1rem 0; padding: 1.25rem 1.5rem; }
.ticker[hidden] { display: none; }
.count { font: 500 3.5rem/1 var(--serif); font-variant-numeric: tabular-nums lining-nums; color: var(--accent); }
iframe { display: block; width: 100%; height: 6.25rem; margin: 1rem 0; border: 1px solid var(--line); border-radius: 0.6rem; }

.environ { margin-top: 1rem; padding: 0.4rem 1rem 1rem; font: 0.8125rem/1.5 var(--mono); font-variant-ligatures: none; }
.environ h3 { margin: 1rem 0 0.35rem; font: 600 0.8125rem/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
.environ dl { margin: 0; }
.environ dl > div { display: grid; grid-template-columns: 19em 1fr; gap: 0 1rem; padding: 0.15rem 0; }
.environ dt { color: var(--soft); overflow-wrap: anywhere; }
.environ dd { margin: 0; overflow-wrap: anywhere; }

.next { margin: 0; }
.next dt { overflow-wrap: anywhere; }
.next dd { margin: 0 0 0.75rem; }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: 0.875rem; }

@media (max-width: 40rem) {
  body { padding: 2rem 1rem 3rem; }
  h1 { font-size: 2.125rem; }
  section { margin-top: 2.75rem; }
  .lede { font-size: 1.1rem; }
  iframe { height: 9.5rem; }
  .environ dl > div { display: block; padding: 0.3rem 0; }
  .routes, .routes tbody { display: block; }
  .routes thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .routes tr {
    display: grid; grid-template-columns: 1fr auto; gap: 0.15rem 1rem; padding: 0.8rem 1rem;
    border-top: 1px solid var(--line);
  }
  .routes tbody tr:first-child { border-top: 0; }
  .routes tr > * { padding: 0; border: 0; }
  .routes tr > :nth-child(2) { text-align: right; }
  .routes tr > :nth-child(n + 3) { grid-column: 1 / -1; }
  .routes tr > :last-child { text-align: left; white-space: normal; }
}
`;
