/**
 * Directives of nginx that need no counterpart, with the reason, and the variables that Portico sets for
 * every program by itself.
 */

const STREAMS = "Portico streams both ways";
const OWN_LOG = "Portico's log is set once, by server.accessLog";
const RUNTIME = "the runtime sees to it";
const FRONT = "TLS ends at the front before Portico";
const FILES = "Portico sends files in its own way";

/** Why nothing is lost without a directive, by its name. */
export const MOOT: ReadonlyMap<string, string> = new Map([
  ...each(STREAMS, [
    "fastcgi_buffering",
    "fastcgi_buffers",
    "fastcgi_buffer_size",
    "fastcgi_busy_buffers_size",
    "fastcgi_max_temp_file_size",
    "fastcgi_temp_file_write_size",
    "proxy_buffering",
    "proxy_buffers",
    "proxy_buffer_size",
    "proxy_busy_buffers_size",
    "proxy_max_temp_file_size",
    "proxy_http_version",
    "uwsgi_buffering",
    "uwsgi_buffers",
    "uwsgi_buffer_size",
    "scgi_buffering",
    "postpone_output",
    "client_body_buffer_size",
    "chunked_transfer_encoding",
  ]),
  ...each(OWN_LOG, ["log_not_found", "error_log", "log_format", "log_subrequest"]),
  ...each(RUNTIME, [
    "keepalive_timeout",
    "keepalive_requests",
    "server_tokens",
    "worker_processes",
    "worker_connections",
    "worker_rlimit_nofile",
    "events",
    "multi_accept",
    "use",
    "user",
    "pid",
    "daemon",
    "load_module",
    "resolver",
    "resolver_timeout",
    "reset_timedout_connection",
    "http2",
    "fastcgi_keep_conn",
    "keepalive",
    "zone",
    "large_client_header_buffers",
    "client_header_buffer_size",
    "client_header_timeout",
    "client_body_timeout",
    "send_timeout",
    "underscores_in_headers",
    "ignore_invalid_headers",
    "merge_slashes",
    "server_names_hash_bucket_size",
    "server_names_hash_max_size",
    "types_hash_max_size",
    "types_hash_bucket_size",
    "variables_hash_max_size",
    "variables_hash_bucket_size",
    "server_name_in_redirect",
    "port_in_redirect",
    "absolute_redirect",
    "recursive_error_pages",
    "fastcgi_pass_request_headers",
    "fastcgi_pass_request_body",
  ]),
  ...each(FRONT, [
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_protocols",
    "ssl_ciphers",
    "ssl_prefer_server_ciphers",
    "ssl_session_cache",
    "ssl_session_timeout",
    "ssl_session_tickets",
    "ssl_dhparam",
    "ssl_ecdh_curve",
    "ssl_stapling",
    "ssl_stapling_verify",
    "ssl_trusted_certificate",
    "ssl_buffer_size",
    "ssl",
  ]),
  ...each(FILES, [
    "sendfile",
    "sendfile_max_chunk",
    "tcp_nopush",
    "tcp_nodelay",
    "directio",
    "aio",
    "open_file_cache",
    "open_file_cache_valid",
    "open_file_cache_min_uses",
    "open_file_cache_errors",
    "etag",
    "if_modified_since",
    "types",
    "charset",
    "autoindex_exact_size",
    "autoindex_localtime",
    "fancyindex_exact_size",
    "output_buffers",
  ]),
]);

function each(reason: string, names: readonly string[]): readonly (readonly [string, string])[] {
  return names.map((name) => [name, reason] as const);
}

/** Variables that every program gets from Portico, with the values of nginx's own parameter files. */
export const OWN_VARIABLES: ReadonlySet<string> = new Set([
  "QUERY_STRING",
  "REQUEST_METHOD",
  "CONTENT_TYPE",
  "CONTENT_LENGTH",
  "SCRIPT_NAME",
  "SCRIPT_FILENAME",
  "REQUEST_URI",
  "DOCUMENT_URI",
  "DOCUMENT_ROOT",
  "SERVER_PROTOCOL",
  "REQUEST_SCHEME",
  "HTTPS",
  "GATEWAY_INTERFACE",
  "SERVER_SOFTWARE",
  "REMOTE_ADDR",
  "REMOTE_PORT",
  "REMOTE_USER",
  "AUTH_TYPE",
  "SERVER_ADDR",
  "SERVER_PORT",
  "SERVER_NAME",
  "PATH_INFO",
  "PATH_TRANSLATED",
  "REDIRECT_STATUS",
  "REQUEST_ID",
  "UWSGI_SCHEME",
  "SCGI",
]);

/** Parameter files that come with nginx and say no more than what Portico sets by itself. */
export const PARAMETER_FILES = /(?:^|\/)(?:fastcgi_params|fastcgi\.conf|uwsgi_params|scgi_params)$/;

/** Files that come with nginx and concern it alone. */
export const OTHER_FILES = /(?:^|\/)(?:mime\.types|proxy_params)$|(?:^|\/)modules-enabled\//;

/** Request fields by which a proxy tells of the client: Portico tells by itself. */
export const PROXY_FIELDS: ReadonlySet<string> = new Set([
  "x-real-ip",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-server",
  "x-scheme",
  "forwarded",
  "upgrade",
  "connection",
  "proxy",
]);

/** Directives that become something where a route needs them. */
export const KNOWN: ReadonlySet<string> = new Set([
  "root",
  "alias",
  "index",
  "autoindex",
  "try_files",
  "expires",
  "default_type",
  "client_max_body_size",
  "allow",
  "fastcgi_index",
  "fastcgi_split_path_info",
  "fastcgi_param",
  "uwsgi_param",
  "scgi_param",
  "proxy_set_header",
  "set",
  "server_name",
  "http",
  "server",
  "upstream",
  "real_ip_header",
  "real_ip_recursive",
  "gzip_static",
  "auth_basic",
  "auth_basic_user_file",
  "return",
  ...["fastcgi", "uwsgi", "scgi", "proxy"].flatMap((name) =>
    ["pass", "read_timeout", "connect_timeout"].map((what) => `${name}_${what}`)
  ),
]);

/** What to say of directives that are left, where more can be said than that. */
export const WHY_LEFT: ReadonlyMap<string, string> = new Map([
  ...each("Portico has its own error pages", [
    "error_page",
    "fastcgi_intercept_errors",
    "proxy_intercept_errors",
  ]),
  ...each("Portico has one log for all routes: server.accessLog", ["access_log"]),
  ...each("answers go out as the program sends them: compress at the CDN", [
    "gzip",
    "gzip_vary",
    "gzip_types",
    "gzip_proxied",
    "gzip_comp_level",
    "gzip_min_length",
    "gzip_http_version",
    "gzip_disable",
    "gzip_buffers",
    "brotli",
    "brotli_types",
  ]),
  ...each("Portico decides nothing by such conditions", ["if", "map", "geo", "split_clients"]),
  ...each("nobody is kept from asking often: limit at the front", [
    "limit_req",
    "limit_conn",
    "limit_req_zone",
    "limit_conn_zone",
    "limit_rate",
  ]),
  ...each("nothing is cached here", [
    "fastcgi_cache",
    "fastcgi_cache_path",
    "fastcgi_cache_key",
    "fastcgi_cache_valid",
    "fastcgi_cache_bypass",
    "fastcgi_no_cache",
    "proxy_cache",
    "proxy_cache_path",
    "proxy_cache_key",
    "proxy_cache_valid",
    "uwsgi_cache",
  ]),
  ...each("a route has one time for the whole answer: timeout", [
    "fastcgi_send_timeout",
    "proxy_send_timeout",
    "uwsgi_send_timeout",
    "scgi_send_timeout",
  ]),
]);
