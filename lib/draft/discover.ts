/**
 * What a folder holds that Portico can serve, as the draft of a table: PHP sites, CGI programs, applications
 * in Python and TypeScript, static files, and programs that listen already. It goes by names and by the
 * first lines of files; what it writes is a beginning, and says so.
 */
import { discoverApplication } from "./applications.ts";
import { type Entry, type Finding, type Ground, hasFile, hasFolder, relative } from "./ground.ts";
import type { DraftRoute, DraftTable, PlainMap } from "./table_text.ts";

export interface Discovery {
  readonly findings: readonly Finding[];
  readonly table: DraftTable;
}

export function discover(ground: Ground): Discovery {
  const main = discoverPhp(ground) ?? discoverApplication(ground) ?? discoverSite(ground) ??
    discoverSocket(ground);
  const beside = [discoverCgi(ground), discoverAssets(ground, main)];
  const findings = [...beside, main].filter((finding) => finding !== undefined);
  const routes = findings.flatMap((finding) => finding.routes);
  return {
    findings,
    table: {
      comments: [
        "Which program answers which path. The first route that matches serves; relative file names start",
        "from the folder of this file. Written by portico init for what it found here: look it over, then",
        "try it with check, explain /PATH and serve; flags prints the permissions that it needs.",
      ],
      server: { listen: "127.0.0.1:8080" },
      routes: routes.length > 0 ? routes : [GREETING],
    },
  };
}

const GREETING: DraftRoute = {
  comments: ["Nothing was found here that could be served: a fixed answer, to begin with."],
  fields: { path: "/", respond: "hello" },
};

const PHP_ROOTS = ["public", "web", "webroot", "htdocs", "www", "html", ""];

function discoverPhp(ground: Ground): Finding | undefined {
  const root = PHP_ROOTS.find((folder) => hasFile(ground, below(folder, "index.php"))) ??
    (ground.entries("").some(({ name, isFile }) => isFile && name.endsWith(".php"))
      ? ""
      : undefined);
  if (root === undefined) return undefined;
  const socket = phpSocket(ground.sockets);
  const runs = socket === undefined
    ? "php-cgi, started with the server; for a php-fpm that runs: connect: unix:/run/php/php-fpm.sock"
    : `the php-fpm that listens at ${socket}; without connect, php-cgi is started with the server`;
  const what = `${phpName(ground, root)} in ${relative(root)}`;
  const php = {
    root: relative(root),
    ...(socket === undefined ? {} : { connect: `unix:${socket}` }),
  };
  const route: DraftRoute = {
    comments: [
      `php: ${what}. Files are sent, scripts run, all else goes to index.php.`,
      `Scripts run in ${runs}.`,
    ],
    fields: { path: "/*", php: socket === undefined ? relative(root) : php },
  };
  const how = socket === undefined ? "run by php-cgi" : `run by ${socket}`;
  return { what: `${what}, ${how}`, routes: [...ownFile(root), route] };
}

function phpName(ground: Ground, root: string): string {
  const files: Readonly<Record<string, string>> = {
    "artisan": "a Laravel site",
    "bin/console": "a Symfony site",
    [below(root, "wp-load.php")]: "a WordPress site",
    [below(root, "core/lib/Drupal.php")]: "a Drupal site",
    "craft": "a Craft site",
    "yii": "a Yii site",
  };
  const known = Object.keys(files).find((file) => hasFile(ground, file));
  return files[known ?? ""] ?? "a PHP site";
}

/** php-fpm's sockets by Debian's names; the one without a version is what an administrator chose. */
function phpSocket(sockets: readonly string[]): string | undefined {
  const own = sockets.filter((path) => /\/php[^/]*\.sock$/.test(path)).toSorted();
  return own.find((path) => path.endsWith("/php-fpm.sock")) ?? own.at(-1);
}

/** A site that is served from the folder of the table itself would give the table away. */
function ownFile(root: string): readonly DraftRoute[] {
  if (root !== "") return [];
  return [{
    comments: ["The site lies beside this file, which is nobody's business."],
    fields: { path: "/routes.yaml", respond: { status: 404 } },
  }];
}

const INTERPRETERS: Readonly<Record<string, string>> = {
  ".py": "python3",
  ".pl": "perl",
  ".sh": "sh",
  ".rb": "ruby",
};

function discoverCgi(ground: Ground): Finding | undefined {
  if (!hasFolder(ground, "cgi-bin")) return undefined;
  const files = ground.entries("cgi-bin").filter(({ isFile }) => isFile);
  const suffixes = new Set(files.filter(({ isExecutable }) => !isExecutable).map(suffixOf));
  const interpreters: PlainMap = Object.fromEntries(
    Object.entries(INTERPRETERS).filter(([suffix]) => suffixes.has(suffix))
      .map(([suffix, program]) => [suffix, [program]]),
  );
  const root = "./cgi-bin";
  const hasAny = Object.keys(interpreters).length > 0;
  const route: DraftRoute = {
    comments: [
      "cgi: a program for each request. The executable file along the path is the program, what follows",
      `is its PATH_INFO.${hasAny ? " Files of these suffixes need not be executable." : ""}`,
    ],
    fields: { path: "/cgi-bin/*", cgi: hasAny ? { root, interpreters } : { root } },
  };
  return { what: `CGI programs in ${root}`, routes: [route] };
}

function suffixOf({ name }: Entry): string {
  return /\.\w+$/.exec(name)?.[0] ?? "";
}

const SITES = ["public", "dist", "build", "_site", "out", "www", "htdocs", "html", "site", ""];

function discoverSite(ground: Ground): Finding | undefined {
  const root = SITES.find((folder) => hasFile(ground, below(folder, "index.html")));
  if (root === undefined) return undefined;
  const page = ground.read(below(root, "index.html")) ?? "";
  const isSingle = /<(?:div|main|body)[^>]*\bid="?(?:root|app|__next|svelte)\b/.test(page);
  const hasPage = hasFile(ground, below(root, "404.html"));
  const fields: PlainMap = {
    root: relative(root),
    ...(isSingle ? { fallback: "index.html" } : hasPage ? { notFound: "404.html" } : {}),
  };
  const what = `${isSingle ? "an application of a single page" : "static files"} in ${
    relative(root)
  }`;
  const route: DraftRoute = {
    comments: [
      `static: ${what}.`,
      ...(isSingle ? ["Paths that name no file get its page: it knows them itself."] : []),
    ],
    fields: { path: "/*", static: Object.keys(fields).length === 1 ? relative(root) : fields },
  };
  return { what, routes: [...ownFile(root), route] };
}

/** Files beside an application, which need not go through it. */
function discoverAssets(ground: Ground, main: Finding | undefined): Finding | undefined {
  const isApplication = main?.routes.some(({ fields }) => "wsgi" in fields || "uwsgi" in fields);
  if (!isApplication || !hasFolder(ground, "static")) return undefined;
  const route: DraftRoute = {
    comments: ["static: files that the application need not be asked for."],
    fields: { path: "/static/*", static: "./static" },
  };
  return { what: "static files in ./static", routes: [route] };
}

/** Debian's uwsgi puts its sockets below /run/uwsgi, gunicorn's units theirs into /run. */
function discoverSocket({ sockets }: Ground): Finding | undefined {
  const uwsgi = sockets.find((path) =>
    /\/uwsgi(?:\/.*)?\/[^/]*(?:socket|\.sock)$|\/uwsgi\.sock$/.test(path)
  );
  if (uwsgi === undefined) return undefined;
  const route: DraftRoute = {
    comments: [`uwsgi: the application that listens at ${uwsgi}.`],
    fields: { path: "/*", uwsgi: `unix:${uwsgi}` },
  };
  return { what: `a uWSGI server at ${uwsgi}`, routes: [route] };
}

function below(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}
