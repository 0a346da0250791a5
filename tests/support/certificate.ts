/** Certificates for one test, by openssl: self-signed, of one name and for 127.0.0.1. */

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Writes `NAME.pem` and `NAME.key` into a folder. */
export async function makeCertificate(folder: string, name: string): Promise<Certificate> {
  const cert = `${folder}/${name}.pem`;
  const key = `${folder}/${name}.key`;
  await openssl(
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-keyout", key, "-out", cert, "-days", "2", "-subj", `/CN=${name}.test`],
    ...["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
    // The runtime trusts no authority as a server.
    ...["-addext", "basicConstraints=critical,CA:FALSE"],
  );
  return { cert, key };
}

/** The same key, under a password. */
export async function encryptKey(from: string, to: string): Promise<void> {
  await openssl("pkey", "-in", from, "-aes256", "-passout", "pass:secret", "-out", to);
}

async function openssl(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

export interface Curled {
  /** `1.1` or `2`. */
  readonly version: string;
  readonly status: number;
  readonly head: string;
  readonly body: string;
  /** curl's own complaint. */
  readonly error: string;
}

/** Asks by curl, which checks no certificate. */
export async function curl(...args: string[]): Promise<Curled> {
  const { stdout, stderr } = await new Deno.Command("curl", {
    args: ["-sSki", "--max-time", "10", "-w", "\n%{http_version} %{http_code}", ...args],
  }).output();
  const text = new TextDecoder().decode(stdout);
  const last = text.lastIndexOf("\n");
  const [version = "", status = ""] = text.slice(last + 1).split(" ");
  const whole = text.slice(0, last);
  const end = whole.indexOf("\r\n\r\n");
  return {
    version,
    status: Number(status),
    head: whole.slice(0, end),
    body: whole.slice(end + 4),
    error: new TextDecoder().decode(stderr),
  };
}
