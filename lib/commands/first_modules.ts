/**
 * All modules that every command takes, named in one place: the runtime reads a module's source map when that
 * module is the first to name another, which takes as long as loading it. Here one module names them all.
 * tests/start_test.ts holds that none is missing. What is to be loaded by `serve` alone stands in
 * serve_modules.ts.
 */
import "valibot";
import "./command.ts";
import "./mod.ts";
import "./options.ts";
import "../config/access_log.ts";
import "../config/admin.ts";
import "../config/auth.ts";
import "../config/authorize.ts";
import "../config/cache_stores.ts";
import "../config/check.ts";
import "../config/distinct.ts";
import "../config/host.ts";
import "../config/kinds.ts";
import "../config/layers.ts";
import "../config/listener.ts";
import "../config/load.ts";
import "../config/origin_secret.ts";
import "../config/position.ts";
import "../config/range.ts";
import "../config/response_headers.ts";
import "../config/route.ts";
import "../config/sendfile.ts";
import "../config/server.ts";
import "../config/short_or_long.ts";
import "../config/syntax.ts";
import "../config/tls.ts";
import "../config/traces.ts";
import "../config/tree.ts";
import "../config/yaml.ts";
import "../config/yaml_library.ts";
import "../errors.ts";
import "../exchange.ts";
import "../fields.ts";
import "../log_template.ts";
import "../maps.ts";
import "../protocol/content_coding.ts";
import "../protocol/header_list.ts";
import "../protocol/http_fields.ts";
import "../protocol/ip.ts";
import "../router/literal.ts";
import "../router/pattern.ts";
import "../values.ts";
