/** `authorize`: a FastCGI authorizer in front of routes of any kind (FastCGI 1.0 §6.3). */
import assert from "node:assert/strict";
import { ask, Client } from "../support/client.ts";
import { runPortico } from "../support/command.ts";
import { type TestGateway, withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { phpFpm, tempFolder } from "../support/peers.ts";
import { Fpm } from "../support/php_fpm.ts";
import {
  end,
  joined,
  out,
  OUT_END,
  type RawResponder,
  type Script,
  serveRaw,
} from "../upstreams/raw_fastcgi.ts";
import { linesOf } from "./contract.ts";

const ALLOWED = "Status: 200\nVariable-REMOTE_USER: zoe\nVariable-AUTH_TYPE: Token\n\n";

/** An authorizer that always says the same. */
function says(reply: string): Script {
  return (wire) => wire.write(joined(out(reply), OUT_END, end()));
}

interface Scene {
  readonly gateway: TestGateway;
  readonly authorizer: RawResponder;
  /** The program behind the authorizer. */
  readonly app: RawResponder;
  readonly folder: string;
}

/** Routes as JSON; AUTH and APP stand for the two sockets. */
async function withAuthorizer(
  script: Script,
  routes: readonly object[],
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  await using temp = await tempFolder();
  const folder = temp.path;
  await using authorizer = serveRaw(`${folder}/auth`, script);
  await using app = serveRaw(
    `${folder}/app`,
    (wire) => wire.write(joined(out("Content-Type: text/plain\n\nserved"), OUT_END, end())),
  );
  const text = JSON.stringify(routes)
    .replaceAll("AUTH", `unix:${folder}/auth`)
    .replaceAll("APP", `unix:${folder}/app`)
    .replaceAll("FOLDER", folder);
  await withGateway(
    `server:\n  accessLog: json\nroutes: ${text}\n`,
    (gateway) => body({ gateway, authorizer, app, folder }),
  );
}

const BEHIND = { path: "/*", authorize: "AUTH", fastcgi: "APP" };

Deno.test("authorize: asks as §6.3 wants it, without what is not the authorizer's", async () => {
  await withAuthorizer(says(ALLOWED), [{ ...BEHIND, path: "/app/*" }], async (scene) => {
    const answer = await ask(scene.gateway.port, {
      method: "POST",
      target: "/app/a/b?c=d",
      headers: { "X-Token": "secret", "Content-Type": "text/x" },
      body: "the body",
    });
    assert.equal(answer.text, "served");
    const [asked] = scene.authorizer.requests;
    assert.equal(asked?.role, "authorizer");
    assert.equal(asked?.body, "");
    const { params } = asked ?? assert.fail();
    for (const name of ["CONTENT_LENGTH", "PATH_INFO", "PATH_TRANSLATED", "SCRIPT_NAME"]) {
      assert.ok(!params.has(name), name);
    }
    const told = ["REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING", "HTTP_X_TOKEN", "CONTENT_TYPE"];
    assert.deepEqual(told.map((name) => params.get(name)), [
      "POST",
      "/app/a/b?c=d",
      "c=d",
      "secret",
      "text/x",
    ]);
    // The program has the body, and its length.
    assert.equal(scene.app.requests[0]?.body, "the body");
    assert.equal(scene.app.requests[0]?.params.get("CONTENT_LENGTH"), "8");
  });
});

Deno.test("authorize: Variable-* become variables, above the client's and below the route's own", async () => {
  const reply = [
    "Status: 200 OK",
    "Variable-REMOTE_USER: zo\xeb",
    "variable-AUTH_TYPE: Token",
    "Variable-HTTP_X_ROLE: admin",
    "Variable-MINE: theirs",
    "Variable-SERVER_SOFTWARE: other",
    "Variable-TWICE: 1",
    "Variable-TWICE: 2",
    "Variable-CONTENT_LENGTH: 99",
    "Variable-HTTP_PROXY: http://evil/",
    "Variable-A-B: c",
    "X-Other: means nothing",
    "",
    "nor does this",
  ].join("\n");
  const route = {
    path: "/*",
    authorize: "AUTH",
    fastcgi: { connect: "APP", env: { MINE: "ours" } },
  };
  await withAuthorizer(says(reply), [route], async ({ gateway, app }) => {
    const headers = { "X-Role": "guest", "Variable-REMOTE_USER": "mallory", Proxy: "x" };
    const answer = await ask(gateway.port, { target: "/", headers });
    assert.equal(answer.text, "served");
    assert.equal(answer.get("x-other"), undefined);
    const { params } = app.requests[0] ?? assert.fail();
    const expected = {
      REMOTE_USER: "zo\xeb",
      AUTH_TYPE: "Token",
      HTTP_X_ROLE: "admin",
      MINE: "ours",
      SERVER_SOFTWARE: "Portico/0.1.0",
      TWICE: "1",
      CONTENT_LENGTH: undefined,
      HTTP_PROXY: undefined,
    };
    for (const [name, value] of Object.entries(expected)) {
      assert.equal(params.get(name), value, name);
    }
    const notices = (await linesOf(gateway.log())).map(({ message }) => message ?? "");
    assert.deepEqual(notices.map((text) => /variable (.*): skipped/.exec(text)?.[1]), [
      '"CONTENT_LENGTH"',
      '"HTTP_PROXY"',
      '"A-B"',
    ]);
  });
});

Deno.test("authorize: what is not let through gets the authorizer's answer, and the program nothing", async () => {
  const rows: readonly (readonly [string, number, string, string])[] = [
    ["Status: 401\nWWW-Authenticate: Token\nVariable-REMOTE_USER: x\n\nwho?", 401, "Token", "who?"],
    ["Status: 403 No\nContent-Type: text/plain\n\nno", 403, "", "no"],
    ["Status: 302\nLocation: http://login.example/\n\n", 302, "", ""],
    // §6.3: 200 it is, not any success.
    ["Status: 204\n\n", 204, "", ""],
  ];
  for (const [reply, status, challenge, text] of rows) {
    await withAuthorizer(says(reply), [BEHIND], async ({ gateway, app }) => {
      const answer = await ask(gateway.port, { target: "/", method: "POST", body: "x" });
      assert.equal(answer.status, status);
      assert.equal(answer.get("www-authenticate") ?? "", challenge);
      assert.equal(answer.get("variable-remote_user"), undefined);
      assert.equal(answer.text, text);
      assert.equal(app.requests.length, 0);
    });
  }
});

Deno.test("authorize: guards kinds of every sort alike", async () => {
  const guard = { authorize: "AUTH" };
  const script: Script = (wire, { params }) => {
    const reply = params.get("HTTP_X_KEY") === "open" ? ALLOWED : "Status: 403\n\nclosed";
    return wire.write(joined(out(reply), OUT_END, end()));
  };
  const routes = [
    { path: "/respond", ...guard, respond: "hello" },
    { path: "/redirect", ...guard, redirect: "/elsewhere" },
    { path: "/cgi", ...guard, cgi: "FOLDER/user.sh" },
    { path: "/wsgi", ...guard, wsgi: "apps/wsgi_basic.ts" },
    { path: "/worker", ...guard, wsgi: { app: "apps/wsgi_basic.ts", isolate: "worker" } },
    { path: "/free", respond: "free" },
  ];
  await withAuthorizer(script, routes, async ({ gateway, folder, authorizer }) => {
    await Deno.writeTextFile(
      `${folder}/user.sh`,
      `#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s' "$AUTH_TYPE $REMOTE_USER"\n`,
      { mode: 0o755 },
    );
    const served: Readonly<Record<string, string>> = {
      "/respond": "hello",
      "/redirect": "",
      "/cgi": "Token zoe",
      "/wsgi": "AUTH_TYPE=Token REMOTE_USER=zoe",
      "/worker": "AUTH_TYPE=Token REMOTE_USER=zoe",
    };
    for (const [target, text] of Object.entries(served)) {
      const closed = await ask(gateway.port, { target });
      assert.deepEqual([closed.status, closed.text], [403, "closed"], target);
      const open = await ask(gateway.port, { target, headers: { "X-Key": "open" } });
      assert.equal(text.includes("=") ? told(open.text) : open.text, text, target);
      assert.notEqual(open.status, 403);
    }
    assert.equal(authorizer.requests.length, 10);
    assert.equal((await ask(gateway.port, { target: "/free" })).text, "free");
    assert.equal(authorizer.requests.length, 10);
    // Its connection is kept as any other.
    assert.ok(authorizer.connections < 4, String(authorizer.connections));
  });
});

/** The variables that matter here, of an environ as JSON. */
function told(json: string): string {
  const environ = JSON.parse(json);
  return ["AUTH_TYPE", "REMOTE_USER"].map((name) => `${name}=${environ[name]}`).join(" ");
}

const FAULTS: Readonly<Record<string, readonly [Script, number, string]>> = {
  "says nothing": [(wire) => wire.write(end()), 502, "no-output"],
  "closes": [(wire) => wire.close(), 502, "no-output"],
  "breaks its head off": [says("Status: 200"), 502, "head-cut"],
  "is overloaded": [(wire) => wire.write(end(0, "overloaded")), 503, "fcgi-overloaded"],
  "does not know the role": [
    (wire) => wire.write(end(0, "unknown-role")),
    502,
    "fcgi-unknown-role",
  ],
  "never decides": [() => {}, 504, "authorizer-timeout"],
  "breaks off behind its 200": [
    async (wire) => {
      await wire.write(out(`${ALLOWED}and`));
      await new Promise((resolve) => setTimeout(resolve, 30));
      wire.close();
    },
    502,
    "reply-cut",
  ],
};

for (const [what, [script, status, failure]] of Object.entries(FAULTS)) {
  Deno.test(`authorize: lets nobody through when the authorizer ${what}`, async () => {
    const authorize = { connect: "AUTH", timeout: "200ms" };
    await withAuthorizer(script, [{ ...BEHIND, authorize }], async ({ gateway, app }) => {
      assert.equal((await ask(gateway.port, { target: "/" })).status, status);
      assert.equal(app.requests.length, 0);
      const failures = (await linesOf(gateway.log())).flatMap(({ failure }) => failure ?? []);
      assert.deepEqual(failures, [failure]);
    });
  });
}

Deno.test("authorize: lets nobody through when nobody is there to ask", async () => {
  const route = { ...BEHIND, authorize: "unix:/nowhere/auth", respond: undefined };
  await withAuthorizer(says(ALLOWED), [route], async ({ gateway, app }) => {
    const answer = await ask(gateway.port, { target: "/" });
    assert.equal(answer.status, 502);
    assert.equal(app.requests.length, 0);
  });
});

Deno.test("authorize: another in the list is asked when one is gone", async () => {
  const authorize = ["unix:/nowhere/auth", "AUTH"];
  await withAuthorizer(says(ALLOWED), [{ ...BEHIND, authorize: { connect: authorize } }], async (
    { gateway },
  ) => {
    for (let round = 0; round < 5; round++) {
      assert.equal((await ask(gateway.port, { target: "/" })).text, "served");
    }
  });
});

Deno.test("authorize: is asked before the body is taken in, and the program's time begins later", async () => {
  const route = { ...BEHIND, firstByteTimeout: "300ms" };
  await withAuthorizer(says(ALLOWED), [route], async ({ gateway, app }) => {
    using client = await Client.connect(gateway.port);
    await client.write(
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\n",
    );
    await new Promise((resolve) => setTimeout(resolve, 600));
    await client.write("body");
    assert.equal((await client.answer()).text, "served");
    assert.equal(app.requests[0]?.body, "body");
  });
});

Deno.test("authorize: a local redirect of the program is another route's, which asks for itself", async () => {
  const script: Script = (wire, { params }) =>
    wire.write(joined(
      out(params.get("REQUEST_URI") === "/inner" ? "Status: 403\n\nclosed" : ALLOWED),
      OUT_END,
      end(),
    ));
  const routes = [
    { path: "/outer", authorize: "AUTH", cgi: "FOLDER/go.sh" },
    { path: "/inner", authorize: "AUTH", respond: "inner" },
  ];
  await withAuthorizer(script, routes, async ({ gateway, folder }) => {
    const text = "#!/bin/sh\nprintf 'Location: /inner\\n\\n'\n";
    await Deno.writeTextFile(`${folder}/go.sh`, text, { mode: 0o755 });
    assert.equal((await ask(gateway.port, { target: "/outer" })).status, 403);
  });
});

Deno.test("authorize: explain tells who would be asked, and flags what that takes", async () => {
  await using temp = await tempFolder();
  const config = `${temp.path}/routes.yaml`;
  const table = "routes:\n  - {path: /*, authorize: 127.0.0.1:9, respond: hello}\n";
  await Deno.writeTextFile(config, table);
  const explained = await runPortico(["explain", "/x", "--config", config]);
  assert.match(explained.out, /asks the FastCGI authorizer at 127\.0\.0\.1:9 first/);
  const flags = await runPortico(["flags", "--config", config]);
  assert.match(flags.out, /--allow-net=[^ ]*127\.0\.0\.1:9\b/);
});

testWith([phpFpm()], "authorize: a PHP script may decide", async () => {
  await using temp = await tempFolder();
  const { path } = temp;
  await Deno.writeTextFile(
    `${path}/auth.php`,
    `<?php if (($_SERVER["HTTP_AUTHORIZATION"] ?? "") === "Bearer good") {
  header("Variable-REMOTE_USER: " . $_SERVER["FCGI_ROLE"]);
} else { http_response_code(401); header("WWW-Authenticate: Bearer"); echo "no"; }
`,
  );
  await Deno.writeTextFile(`${path}/app.php`, `<?php echo $_SERVER["REMOTE_USER"];`);
  await using fpm = await Fpm.start(path);
  const table = `routes:
  - path: /*
    authorize: {connect: "${fpm.address}", script: ${path}/auth.php}
    fastcgi: {connect: "${fpm.address}", script: ${path}/app.php}
`;
  await withGateway(table, async ({ port }) => {
    const headers = { Authorization: "Bearer good" };
    for (let round = 0; round < 3; round++) {
      assert.equal((await ask(port, { target: "/", headers })).text, "AUTHORIZER");
      const refused = await ask(port, { target: "/" });
      assert.deepEqual([refused.status, refused.get("www-authenticate")], [401, "Bearer"]);
    }
  });
});
