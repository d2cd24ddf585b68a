// Secrets of a cluster of Kubernetes, as a pod with a token of the API server reads and writes them.
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';

const ANSWER_MS = 20_000;
const ANSWER_BYTES = 4 << 20;
const TOKEN_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

export type SecretData = Readonly<Record<string, string>>;

/** Where the API server is, and who asks. */
export interface ApiServer {
  readonly host: string;
  readonly port: number;
  readonly token: string;
  readonly ca: Buffer | string;
}

/** That of the cluster that this pod runs in. @throws Error outside of one */
export function ownApiServer(env = process.env, folder = TOKEN_FOLDER): ApiServer {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  if (host === undefined || port === undefined)
    throw new Error('this is no pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set');
  const token = readFileSync(join(folder, 'token'), 'utf8').trim();
  return { host, port: Number(port), token, ca: readFileSync(join(folder, 'ca.crt')) };
}

export class Secrets {
  readonly #api: ApiServer;

  constructor(api: ApiServer) {
    this.#api = api;
  }

  /** Undefined where there is none. @throws Error what the API server says */
  async read(namespace: string, name: string): Promise<SecretData | undefined> {
    const { status, body } = await this.#ask('GET', `${pathOf(namespace)}/${name}`);
    if (status === 404) return undefined;
    if (status !== 200) throw refusal(`get Secret ${namespace}/${name}`, status, body);
    const { data = {} } = JSON.parse(body) as { data?: Record<string, string> };
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
    );
  }

  /** Makes it, or puts it in the place of what is there. @throws Error what the API server says */
  async write(namespace: string, name: string, type: string, data: SecretData): Promise<void> {
    const labels = { 'app.kubernetes.io/part-of': 'odonata' };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace, labels }, type };
    const text = JSON.stringify({ ...secret, stringData: data });
    let answer = await this.#ask('POST', pathOf(namespace), text);
    if (answer.status === 409) answer = await this.#ask('PUT', `${pathOf(namespace)}/${name}`, text);
    if (answer.status !== 200 && answer.status !== 201)
      throw refusal(`write Secret ${namespace}/${name}`, answer.status, answer.body);
  }

  #ask(method: string, path: string, text?: string): Promise<{ status: number; body: string }> {
    const { host, port, token, ca } = this.#api;
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const signal = AbortSignal.timeout(ANSWER_MS);
    return new Promise((resolve, reject) => {
      const asked = request({ host, port, path, method, headers, ca, signal }, (answer) => {
        let body = '';
        answer.setEncoding('utf8');
        answer.on('data', (part: string) => {
          body += part;
          if (body.length > ANSWER_BYTES) answer.destroy(new Error('the API server answers without an end'));
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
        answer.on('error', reject);
      });
      asked.on('error', reject);
      asked.end(text);
    });
  }
}

const pathOf = (namespace: string): string => `/api/v1/namespaces/${namespace}/secrets`;

function refusal(what: string, status: number, body: string): Error {
  let said = '';
  try {
    said = (JSON.parse(body) as { message?: string }).message ?? '';
  } catch {}
  return new Error(`${what}: the API server answers ${status}: ${said.slice(0, 300)}`);
}
