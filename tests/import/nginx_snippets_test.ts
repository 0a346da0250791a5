/**
 * Typical configurations of nginx, each as the routes that it becomes: path, kind and target in order.
 * Every one passes `check`, and of every directive it is said what became of it.
 */
import assert from "node:assert/strict";
import { parseTable } from "../../lib/config/load.ts";
import type { Table } from "../../lib/config/table.ts";
import { kinds } from "../support/kinds.ts";
import type { Included } from "../../lib/import/nginx_include.ts";
import { parseNginx } from "../../lib/import/nginx_syntax.ts";
import { translateNginx } from "../../lib/import/nginx.ts";

const INCLUDES: Readonly<Record<string, string>> = {
  "snippets/fastcgi-php.conf": `
    fastcgi_split_path_info ^(.+?\\.php)(/.*)$;
    try_files $fastcgi_script_name =404;
    set $path_info $fastcgi_path_info;
    fastcgi_param PATH_INFO $path_info;
    fastcgi_index index.php;
    include fastcgi.conf;`,
  "snippets/secure.conf": "add_header X-Frame-Options DENY; location ~ /\\.ht { deny all; }",
};

function read(name: string): readonly Included[] {
  const text = INCLUDES[name];
  return text === undefined ? [] : [{ file: name, text }];
}

interface Told {
  readonly text: string;
  readonly table: Table;
  /** `host path key target`, a route each. */
  readonly rows: readonly string[];
  readonly report: readonly string[];
}

function translate(text: string): Told {
  const { table: yaml = "", report } = translateNginx(text, "site", read);
  const table = parseTable(yaml, { file: "routes.yaml", folder: "/etc/portico" }, kinds);
  const rows = table.routes.map(({ host, path, key, kind, fields }) =>
    `${host === undefined ? "" : `${host} `}${path} ${key} ${kind.describe(fields)}`
  );
  return { text: yaml, table, rows, report };
}

interface Snippet {
  readonly nginx: string;
  readonly rows: readonly string[];
  /** Found in the table. */
  readonly has?: readonly RegExp[];
  /** Found in the report. */
  readonly says?: readonly RegExp[];
}

const FPM = "unix:/run/php/php-fpm.sock";
const PHP = `location ~ \\.php$ { include snippets/fastcgi-php.conf; fastcgi_pass ${FPM}; }`;

const SNIPPETS: Readonly<Record<string, Snippet>> = {
  "Laravel": {
    nginx:
      `server { listen 80; server_name example.com; root /srv/example.com/public; index index.php;
      add_header X-Frame-Options "SAMEORIGIN"; charset utf-8;
      location / { try_files $uri $uri/ /index.php?$query_string; }
      location = /favicon.ico { access_log off; log_not_found off; }
      error_page 404 /index.php;
      location ~ \\.php$ { fastcgi_pass ${FPM};
        fastcgi_param SCRIPT_FILENAME $realpath_root$fastcgi_script_name; include fastcgi_params; }
      location ~ /\\.(?!well-known).* { deny all; } }`,
    rows: [
      "/favicon.ico static /srv/example.com/public/",
      "/((?:.*/)?\\.(?!well-known).*) respond 403",
      "/* php /srv/example.com/public/",
    ],
    has: [
      /listen: ":80"/,
      /X-Frame-Options: SAMEORIGIN/,
      /connect: unix:\/run\/php\/php-fpm\.sock/,
    ],
    says: [/NOT taken over: error_page 404 \/index\.php/, /not needed: charset utf-8/],
  },
  "WordPress": {
    nginx: `upstream php { server ${FPM}; }
      server { server_name blog.example.org; root /srv/wp; index index.php; client_max_body_size 64m;
      location = /robots.txt { allow all; log_not_found off; }
      location / { try_files $uri $uri/ /index.php?$args; }
      location ~* /(?:uploads|files)/.*\\.php$ { deny all; }
      location ~ \\.php$ { include fastcgi.conf; fastcgi_intercept_errors on; fastcgi_pass php; }
      location ~* \\.(js|css|png|jpg)$ { expires max; log_not_found off; } }`,
    rows: [
      "/robots.txt static /srv/wp/",
      "/((?i:(?:.*/)?(?:uploads|files)/.*\\.php)) respond 403",
      "/((?i:.*\\.(?:js|css|png|jpg))) static /srv/wp/",
      "/* php /srv/wp/",
    ],
    has: [/maxRequestBody: 64MiB/, /cacheControl: "max-age=315360000"/],
  },
  "Symfony: one script runs, all others are kept shut": {
    nginx: `server { root /srv/app/public;
      location / { try_files $uri /index.php$is_args$args; }
      location ~ ^/index\\.php(/|$) { fastcgi_pass ${FPM}; fastcgi_split_path_info ^(.+\\.php)(/.*)$;
        include fastcgi_params; fastcgi_param APP_ENV prod;
        fastcgi_param SCRIPT_FILENAME $realpath_root$fastcgi_script_name; internal; }
      location ~ \\.php$ { return 404; } }`,
    rows: [
      "/(index\\.php(?:/.*)?) respond 404",
      "/(.*\\.php) respond 404",
      "/* php /srv/app/public/",
    ],
    has: [/env: \{ APP_ENV: prod \}/],
  },
  "scripts below a prefix of files: they are run, never sent": {
    nginx: `server { root /srv/wp; location / { try_files $uri $uri/ /index.php; }
      location /uploads/ { expires 1d; } ${PHP} }`,
    rows: [
      `/(.*\\.php) fastcgi ${FPM}`,
      "/uploads/* static /srv/wp/uploads/",
      "/* php /srv/wp/",
    ],
  },
  "scripts before expressions of files: they are run, never sent": {
    nginx: `server { root /srv/wp; location / { try_files $uri $uri/ /index.php; }
      ${PHP} location ~ ^/files/ { expires 1d; } location ~ \\.css$ { expires 1d; } }`,
    rows: [
      `/(.*\\.php) fastcgi ${FPM}`,
      "/(files/.*) static /srv/wp/",
      "/(.*\\.css) static /srv/wp/",
      "/* php /srv/wp/",
    ],
  },
  "Drupal": {
    nginx: `server { root /srv/drupal/web;
      location ~* \\.(txt|log)$ { deny all; }
      location ~ ^/sites/.*/private/ { return 403; }
      location / { try_files $uri /index.php?$query_string; }
      location @rewrite { rewrite ^/(.*)$ /index.php?q=$1; }
      location ~ '\\.php$|^/update.php' { fastcgi_split_path_info ^(.+?\\.php)(|/.*)$;
        include fastcgi_params; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_pass ${FPM}; }
      location ~ ^/sites/.*/files/styles/ { try_files $uri @rewrite; } }`,
    rows: [
      "/((?i:.*\\.(?:txt|log))) respond 403",
      "/(sites/.*/private/.*) respond 403",
      "/(sites/.*/files/styles/.*) php /srv/drupal/web/",
      "/* php /srv/drupal/web/",
    ],
  },
  "plain PHP without a front controller": {
    nginx: `server { root /srv/old; index index.php index.html;
      location / { try_files $uri $uri/ =404; } ${PHP} }`,
    rows: [
      `/(.*\\.php) fastcgi ${FPM}`,
      "/((?:.*/)?) php /srv/old/",
      "/* static /srv/old/",
    ],
  },
  "php-fpm in another container": {
    nginx: `server { listen 8080; root /var/www/html; set $upstream php:9000;
      location / { try_files $uri /index.php?$query_string; }
      location ~ \\.php$ { fastcgi_pass $upstream; include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_read_timeout 5m; fastcgi_connect_timeout 500ms; } }`,
    rows: ["/* php /var/www/html/"],
    has: [/connect: php:9000/, /firstByteTimeout: 300s/, /connectTimeout: 500ms/],
  },
  "phpMyAdmin by alias": {
    nginx: `server { location /pma { alias /usr/share/phpmyadmin; index index.php;
      location ~ ^/pma/(.+\\.(?:css|js))$ { alias /usr/share/phpmyadmin/$1; }
      location ~ ^/pma/(.+\\.php)$ { alias /usr/share/phpmyadmin/$1; fastcgi_pass ${FPM};
        include fastcgi_params; fastcgi_param SCRIPT_FILENAME $request_filename; } } }`,
    rows: ["/pma/* php /usr/share/phpmyadmin/"],
  },
  "phpMyAdmin by root": {
    nginx: `server { root /srv/www; location /phpmyadmin { root /usr/share/; index index.php;
      location ~ ^/phpmyadmin/(.+\\.php)$ { try_files $uri =404; fastcgi_pass ${FPM};
        include fastcgi.conf; } } }`,
    rows: [
      `/(phpmyadmin/(?:.+\\.php)) fastcgi ${FPM}`,
      "/phpmyadmin/((?:.*/)?) php /usr/share/",
      "/phpmyadmin/* static /usr/share/phpmyadmin/",
      "/* static /srv/www/",
    ],
  },
  "Django behind uWSGI": {
    nginx: `upstream django { server unix:///run/uwsgi/app/site/socket; }
      server { listen 8000; server_name site.example; client_max_body_size 75M;
      location /media { alias /srv/site/media; expires 30d; }
      location /static { alias /srv/site/static; }
      location / { uwsgi_pass unix:/run/uwsgi/app/site/socket; include uwsgi_params;
        uwsgi_read_timeout 300; uwsgi_param UWSGI_SCHEME $scheme; } }`,
    rows: [
      "/static/* static /srv/site/static/",
      "/media/* static /srv/site/media/",
      "/* uwsgi unix:/run/uwsgi/app/site/socket",
    ],
    has: [/maxRequestBody: 75MiB/, /cacheControl: "max-age=2592000"/],
  },
  "Flask behind gunicorn": {
    nginx: `server { location / { proxy_pass http://127.0.0.1:8000; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Own 1; }
      location /static { alias /srv/flask/static; } }`,
    rows: ["/static/* static /srv/flask/static/", "/* proxy http://127.0.0.1:8000"],
    has: [/preserveHost: true/],
    says: [
      /NOT taken over: proxy_set_header X-Own 1/,
      /not needed: proxy_set_header X-Forwarded-For/,
    ],
  },
  "an application below a prefix": {
    nginx: `server { location /app/ { proxy_pass http://127.0.0.1:3000/; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; } }`,
    rows: ["/app redirect /app/", "/app/* proxy http://127.0.0.1:3000"],
    has: [/stripPrefix: true/],
  },
  "an application moved to another prefix, and two servers": {
    nginx:
      `upstream back { server 10.0.0.1:8080; server 10.0.0.2:8080; server 10.0.0.3:8080 backup; }
      server { location /api/ { proxy_pass http://back/v1/; } }`,
    rows: ["/api redirect /api/", "/api/* proxy http://10.0.0.1:8080/v1, http://10.0.0.2:8080/v1"],
    says: [/NOT taken over: server 10\.0\.0\.3:8080 backup/],
  },
  "git over fcgiwrap": {
    nginx: `server { location ~ /git(/.*) { include fastcgi_params;
      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
      fastcgi_param GIT_HTTP_EXPORT_ALL ""; fastcgi_param GIT_PROJECT_ROOT /srv/git;
      fastcgi_param PATH_INFO $1; fastcgi_pass unix:/run/fcgiwrap.socket; } }`,
    rows: ["/git/* fastcgi unix:/run/fcgiwrap.socket"],
    has: [/script: \/usr\/lib\/git-core\/git-http-backend/, /GIT_HTTP_EXPORT_ALL: ""/],
  },
  "cgit": {
    nginx: `server { server_name git.example.org; root /usr/share/cgit; try_files $uri @cgit;
      location @cgit { include fastcgi_params; fastcgi_param SCRIPT_FILENAME /usr/lib/cgit/cgit.cgi;
        fastcgi_param PATH_INFO $uri; fastcgi_param QUERY_STRING $args;
        fastcgi_pass unix:/run/fcgiwrap.socket; } }`,
    rows: ["/* fastcgi unix:/run/fcgiwrap.socket"],
    says: [/NOT taken over: try_files \$uri @cgit \(all requests go to @cgit: add a static route/],
  },
  "Perl programs over fcgiwrap": {
    nginx: `server { root /srv/www; location /cgi-bin/ { gzip off; root /usr/lib;
      fastcgi_pass unix:/run/fcgiwrap.socket; include fastcgi_params;
      fastcgi_param SCRIPT_FILENAME /usr/lib$fastcgi_script_name; } }`,
    rows: [
      "/cgi-bin redirect /cgi-bin/",
      "/cgi-bin/* fastcgi unix:/run/fcgiwrap.socket",
      "/* static /srv/www/",
    ],
    has: [/root: \/usr\/lib\/cgi-bin/, /DOCUMENT_ROOT: \/usr\/lib/],
  },
  "an SCGI program": {
    nginx: `server { location /rpc { include scgi_params; scgi_pass 127.0.0.1:4000; } }`,
    rows: ["/rpc/* scgi 127.0.0.1:4000"],
  },
  "an application of a single page": {
    nginx: `server { root /srv/spa/dist; index index.html;
      location / { try_files $uri $uri/ /index.html; }
      location = /index.html { add_header Cache-Control "no-store"; }
      location /assets/ { expires 1y; add_header Cache-Control "public, immutable"; } }`,
    rows: [
      "/index.html static /srv/spa/dist/",
      "/assets/* static /srv/spa/dist/assets/",
      "/* static /srv/spa/dist/",
    ],
    has: [/fallback: index\.html/, /"max-age=31536000, public, immutable"/, /no-store/],
  },
  "static files with a page for what is missing": {
    nginx: `server { root /srv/site; error_page 404 /404.html; error_page 500 502 /50x.html;
      location / { try_files $uri $uri/ =404; }
      location /files/ { autoindex on; } location = /50x.html { internal; } }`,
    rows: ["/50x.html respond 404", "/files/* static /srv/site/files/", "/* static /srv/site/"],
    has: [/notFound: "404\.html"/, /listing: true/],
  },
  "http to https, by one certificate": {
    nginx:
      `server { listen 80; server_name example.org www.example.org; return 301 https://$host$request_uri; }
      server { listen 443 ssl http2; server_name example.org www.example.org; root /srv/www;
      ssl_certificate /etc/ssl/site.pem; ssl_certificate_key /etc/ssl/site.key; ssl_protocols TLSv1.3; }`,
    rows: ["/* static /srv/www/"],
    has: [/listen: ":443"/, /cert: \/etc\/ssl\/site\.pem/, /redirect: ":80"/],
  },
  "http to https as certbot writes it, by two certificates": {
    nginx: `server { if ($host = a.example) { return 301 https://$host$request_uri; }
        listen 80; server_name a.example; return 404; }
      server { listen 443 ssl; server_name a.example; root /srv/a;
        ssl_certificate /etc/a.pem; ssl_certificate_key /etc/a.key; }
      server { listen 443 ssl; server_name b.example; root /srv/b;
        ssl_certificate /etc/b.pem; ssl_certificate_key /etc/b.key; }`,
    rows: ["b.example /* static /srv/b/", "/* static /srv/a/"],
    says: [/not needed: listen 443 ssl \(TLS ends at the front/],
  },
  "one name of two": {
    nginx: `server { server_name www.example.org; root /srv/www; }
      server { server_name example.org; return 301 http://www.example.org$request_uri; }`,
    rows: ["example.org /* redirect http://www.example.org/*", "/* static /srv/www/"],
  },
  "one name of two, by a condition": {
    nginx: `server { server_name www.example.org example.org;
      if ($host = "example.org") { return 301 $scheme://www.example.org$request_uri; } root /srv/www; }`,
    rows: ["example.org /* redirect http://www.example.org/*", "/* static /srv/www/"],
  },
  "hosts: exact names, then wildcards, then the default": {
    nginx: `server { listen 80 default_server; server_name _; return 444; }
      server { server_name *.example.org; root /srv/any; }
      server { server_name a.example.org .b.example.org; root /srv/a; }
      server { server_name ~^x; root /srv/x; }`,
    rows: [
      "a.example.org /* static /srv/a/",
      "b.example.org /* static /srv/a/",
      "*.b.example.org /* static /srv/a/",
      "*.example.org /* static /srv/any/",
      "/* respond 404",
    ],
    says: [
      /NOT taken over: server_name ~\^x/,
      /NOT taken over: server \{ \(Portico tells servers apart/,
    ],
  },
  "rewrites that redirect": {
    nginx: `server { rewrite ^/old/(.*)$ /new/$1 permanent; rewrite ^/feed/?$ /rss.xml redirect;
      rewrite ^/(\\d+)/([a-z-]+)\\.html$ /posts/$2/$1 permanent;
      rewrite ^/x(.*)$ /y$1 last; rewrite ^ https://example.net$request_uri? permanent; root /srv; }`,
    rows: [
      "/old/* redirect /new/*",
      "/feed{/}? redirect /rss.xml",
      "/:g1(\\d+)/:g2([a-z-]+).html redirect /posts/:g2/:g1",
      "/* redirect https://example.net/*",
    ],
    says: [/NOT taken over: rewrite \^\/x\(\.\*\)\$/],
  },
  "fixed answers": {
    nginx: `server { location = /health { default_type text/plain; return 200 "ok"; }
      location /gone/ { return 410; } location /go { return 302 /there; }
      location ~ ^/u/(\\d+)$ { return 301 /users/$1; } location /who { return 200 $remote_addr; } }`,
    rows: [
      "/health respond 200",
      "/u/:g1(\\d+) redirect /users/:g1",
      "/gone/* respond 410",
      "/who/* respond 501",
      "/go/* redirect /there",
    ],
  },
  "what guards a location is not lost": {
    nginx:
      `server { root /srv; location /a/ { auth_basic "Staff"; auth_basic_user_file /etc/htpasswd; }
      location /b/ { allow 10.0.0.0/8; deny all; } location /c/ { auth_request /auth; }
      location /d/ { if ($http_x_key != "k") { return 403; } } location /e/ { deny all; }
      location /f/ { limit_except GET POST { deny all; } } }`,
    rows: [
      "/a/* static /srv/a/",
      "/b/* respond 501",
      "/c/* respond 501",
      "/d/* respond 501",
      "/e/* respond 403",
      "/f/* static /srv/f/",
      "/* static /srv/",
    ],
    has: [/auth: \{ basic: \{ file: \/etc\/htpasswd, realm: Staff \} \}/, /methods: \[GET, POST\]/],
  },
  "prefixes that come before expressions": {
    nginx:
      `server { root /srv; location ^~ /files/ { alias /data/; } location /files/live/ { proxy_pass http://a:1; }
      location ~ \\.cgi$ { return 403; } location = / { return 204; } }`,
    rows: [
      "/ respond 204",
      "/files/live/(.*\\.cgi) respond 403",
      "/files/live redirect /files/live/",
      "/files/live/* proxy http://a:1",
      "/files/* static /data/",
      "/(.*\\.cgi) respond 403",
      "/* static /srv/",
    ],
  },
  "includes, a proxy before it, and what has no counterpart": {
    nginx:
      `http { gzip on; include mime.types; set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For;
      access_log off; limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s;
      server { listen 127.0.0.1:8081; listen unix:/run/site.sock; root /srv; include snippets/secure.conf;
      include conf.d/*.inc; include missing.conf; location /api { grpc_pass grpc://x:1; } } }
      stream { server { listen 1; } }`,
    rows: ["/((?:.*/)?\\.ht.*) respond 403", "/api/* respond 501", "/* static /srv/"],
    has: [
      /trustedProxies: \["10\.0\.0\.0\/8"\]/,
      /accessLog: "off"/,
      /listen: \["127.0.0.1:8081", unix:/,
    ],
    says: [
      /taken over: include snippets\/secure\.conf \(followed/,
      /NOT taken over: include missing\.conf/,
      /NOT taken over: gzip on/,
      /NOT taken over: stream \{/,
    ],
  },
};

for (const [name, { nginx, rows, has = [], says = [] }] of Object.entries(SNIPPETS)) {
  Deno.test(`translateNginx() takes over ${name}`, () => {
    const told = translate(nginx);
    assert.deepEqual(told.rows, rows, told.text);
    for (const pattern of has) assert.match(told.text, pattern);
    const report = told.report.join("\n");
    for (const pattern of says) assert.match(report, pattern);
  });
}

Deno.test("translateNginx() says of every line what became of it, and of nothing what is wrong", () => {
  for (const { nginx } of Object.values(SNIPPETS)) {
    const spread = nginx.replace(/;/g, ";\n");
    const { report } = translate(spread);
    const lines = new Set(report.map((line) => Number(/^site:(\d+): /.exec(line)?.[1])));
    const top = parseNginx(spread, "site");
    const servers = top.flatMap(({ name, block = [] }) => name === "http" ? block : [])
      .concat(top).filter(({ name }) => name === "server");
    for (const { block = [] } of servers) {
      for (const { line } of block) assert.ok(lines.has(line), `line ${line} of\n${spread}`);
    }
    for (const line of report) {
      assert.match(line, /^[\w/.-]+:\d+: (?:NOT )?(?:taken over|not needed): /);
    }
  }
});

Deno.test("translateNginx() finds no table where there is nothing to serve", () => {
  assert.equal(translateNginx("events {} http { gzip on; }", "site", read).table, undefined);
  assert.equal(translateNginx("", "site", read).table, undefined);
});

Deno.test("translateNginx() follows includes that include themselves no further than a few times", () => {
  const again = () => [{ file: "a", text: "include a;" }];
  const { report } = translateNginx("server { root /srv; include a; }", "site", again);
  assert.match(report.join("\n"), /NOT taken over: include a \(too deep\)/);
});
