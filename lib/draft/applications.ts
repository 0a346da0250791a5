/** Applications in Python and TypeScript, recognised by the names of their files and what these define. */
import { type Finding, type Ground, hasFile, relative } from "./ground.ts";

export function discoverApplication(ground: Ground): Finding | undefined {
  return discoverPython(ground) ?? discoverModule(ground) ?? discoverOther(ground);
}

interface Application {
  /** As routes.yaml names it. */
  readonly app: string;
  readonly what: string;
}

const PYTHON_FILES = ["wsgi.py", "app.py", "application.py", "main.py", "server.py"];

function discoverPython(ground: Ground): Finding | undefined {
  const found = django(ground) ?? PYTHON_FILES.map((file) => pythonFile(ground, file))
    .find((application) => application !== undefined);
  if (found === undefined) return undefined;
  const python = [".venv/bin/python", "venv/bin/python"].find((file) => hasFile(ground, file));
  const wsgi = { app: found.app, ...(python === undefined ? {} : { python: relative(python) }) };
  const comments = [
    `wsgi: ${found.what}, in a process of Python that is started with the server.`,
    "More at once: processes: {min: 1, max: 4}, or threads: 4.",
  ];
  return {
    what: `${found.what}${python === undefined ? "" : ` with ${relative(python)}`}`,
    routes: [{ comments, fields: { path: "/*", wsgi: python === undefined ? found.app : wsgi } }],
  };
}

/** manage.py, and a package with a wsgi.py beside its settings. */
function django(ground: Ground): Application | undefined {
  if (!hasFile(ground, "manage.py")) return undefined;
  const folder = ground.entries("").find(({ name, isDirectory }) =>
    isDirectory && /^[A-Za-z_]\w*$/.test(name) && hasFile(ground, `${name}/wsgi.py`) &&
    /^application\s*=/m.test(ground.read(`${name}/wsgi.py`) ?? "")
  );
  if (folder === undefined) return undefined;
  const app = `${folder.name}.wsgi:application`;
  return { app, what: `a Django application, ${app}` };
}

const DEFINES =
  /^(?:def\s+(application|app)\s*\(\s*\w+\s*,\s*\w+\s*\)|(application|app)\s*(?::[^=\n]+)?=\s*(.*))/gm;
const FRAMEWORKS: readonly (readonly [RegExp, string])[] = [
  [/\bFlask\(/, "a Flask application"],
  [/\bBottle\(|\bdefault_app\(/, "a Bottle application"],
  [/\bget_wsgi_application\(/, "a Django application"],
  [/\bfalcon\.App\(/, "a Falcon application"],
  [/\bmake_wsgi_app\(/, "a Pyramid application"],
];
const ASGI = /\b(?:FastAPI|Starlette|Quart|Litestar|get_asgi_application)\(/;

function pythonFile(ground: Ground, file: string): Application | undefined {
  const text = ground.read(file);
  if (text === undefined) return undefined;
  for (const [, made, set, value = ""] of text.matchAll(DEFINES)) {
    if (ASGI.test(value)) continue;
    const name = made ?? set ?? "application";
    const framework = FRAMEWORKS.find(([pattern]) => pattern.test(value))?.[1];
    // `app = something` may be anything but in a file that is made for this.
    if (made === undefined && framework === undefined && name === "app" && file !== "wsgi.py") {
      continue;
    }
    const app = `./${file}:${name}`;
    return { app, what: `${framework ?? "a WSGI application"}, ${app}` };
  }
  return undefined;
}

const MODULES = ["app", "main", "mod", "server", "index"].flatMap((name) =>
  ["ts", "tsx", "js", "mjs"].map((suffix) => `${name}.${suffix}`)
);

function discoverModule(ground: Ground): Finding | undefined {
  for (const file of MODULES) {
    const text = ground.read(file);
    const what = text === undefined ? undefined : exported(text);
    if (what === undefined) continue;
    const app = `./${file}`;
    return {
      what: `${what}, ${app}`,
      routes: [{
        comments: [
          `wsgi: ${what}, called inside the server; isolate: worker gives it threads of its own.`,
        ],
        fields: { path: "/*", wsgi: app },
      }],
    };
  }
  return undefined;
}

function exported(text: string): string | undefined {
  if (/^export\s+default\s*\{[^]*?\bfetch\b/m.test(text)) return "a fetch handler";
  if (/^export\s+default\b/m.test(text) && /\bnew\s+(?:Hono|Elysia|Router)\b/.test(text)) {
    return "a fetch handler";
  }
  const isApplication =
    /^export\s+(?:const|let|(?:async\s+)?function\*?)\s+application\b/m.test(text) ||
    /^export\s+default\s+(?:async\s+)?(?:function|\()[^]*?\b(?:start_response|startResponse)\b/m
      .test(text);
  return isApplication ? "a WSGI application in TypeScript" : undefined;
}

/** What can be served, but not by a route that could be written here. */
function discoverOther(ground: Ground): Finding | undefined {
  const asgi = PYTHON_FILES.find((file) => ASGI.test(ground.read(file) ?? ""));
  if (asgi !== undefined) {
    return {
      what: `an ASGI application in ./${asgi}: run uvicorn, and write proxy: http://127.0.0.1:8000`,
      routes: [],
    };
  }
  const wsgi = ground.entries("").find(({ name, isFile }) => isFile && name.endsWith(".wsgi"))
    ?.name;
  if (wsgi !== undefined) {
    const link = wsgi.replace(/\W+wsgi$/, "_wsgi.py");
    return {
      what: `a script for mod_wsgi, ./${wsgi}: link it as ${link}, and write wsgi: ./${link}`,
      routes: [],
    };
  }
  const server = MODULES.find((file) => /\bDeno\.serve\(|\.listen\(/.test(ground.read(file) ?? ""));
  if (server === undefined) return undefined;
  return {
    what: `a server of its own in ./${server}: run it, and write proxy with its address`,
    routes: [],
  };
}
