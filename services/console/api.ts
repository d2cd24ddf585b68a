// What browsers may ask. Every request is looked at in this order: its host (a name that leads here is no right to be here),
// its origin, the session by its cookie, the secret that its page shows, its input. Browsers send a cookie to every port of a
// host, so whoever serves another one sees it: by the cookie alone nobody is anybody here.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { z } from 'zod';
import { bytesJson } from './bytes.ts';
import { EventStream } from './event-stream.ts';
import { Deltas } from './feed.ts';
import { fieldJson } from './field.ts';
import { hotRows } from './hot.ts';
import { LoginRefusal, type Logins, loginSchema } from './login.ts';
import type { PageFile } from './page-files.ts';
import type { People } from './people.ts';
import { COOKIE, isSame, type Session, type Sessions } from './sessions.ts';
import { readJson, sendJson, sendText, WebError } from './web.ts';

export interface ApiOptions {
  readonly log: Logger;
  readonly files: ReadonlyMap<string, PageFile>;
  readonly sessions: Sessions;
  readonly people: People;
  readonly logins: Logins;
  readonly cluster: string;
  /** host:port, as browsers say them. */
  readonly hosts: ReadonlySet<string>;
  readonly isSecure: boolean;
  readonly needsLogin: boolean;
}

const STREAMS_A_SESSION = 12;
const STREAMS_MAX = 256;
/** Logins that failed, a minute, of all; then only tokens are looked at. */
const FAILURES_A_MINUTE = 30;
const FIELD_MS = 400;
const HOT_MS = 2_000;
const LOG_BYTES = 256 * 1024;

const name = z.string().min(1).max(512);
const page = z.coerce
  .number()
  .int()
  .min(0)
  .max(2 ** 52);
const fieldSchema = z.object({
  name,
  first: page,
  pages: page,
  cells: z.coerce.number().int().min(1).max(4_096),
});
const hotSchema = z.object({ name });
const PAGE_BYTES = 4_096;
const bytesSchema = z.object({ name, offset: page, length: z.coerce.number().int().min(1).max(PAGE_BYTES) });
const pid = z
  .string()
  .regex(/^\d{1,18}$/)
  .transform(BigInt);
const logsSchema = z.object({ pid });
const killSchema = z.strictObject({ pid, signal: z.enum(['SIGTERM', 'SIGKILL']) });
const historySchema = z.object({ since: page.default(0) });

export class Api {
  readonly #o: ApiOptions;
  streams = 0;
  refusals = 0;
  #failures = { minute: 0, count: 0 };

  constructor(options: ApiOptions) {
    this.#o = options;
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#route(request, response);
    } catch (error) {
      this.#refuse(response, error);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { hosts, files, isSecure } = this.#o;
    secure(response, isSecure);
    const host = request.headers.host?.toLowerCase() ?? '';
    if (!hosts.has(host)) throw new WebError(421, `this console is not at ${host.slice(0, 256)}`);
    expectSameOrigin(request, `${isSecure ? 'https' : 'http'}://${host}`);
    const url = URL.parse(request.url ?? '/', 'http://console');
    if (url === null) throw new WebError(400, 'that is no address of a page');
    const file = files.get(url.pathname);
    if (file !== undefined) {
      expectMethod(request, 'GET');
      response.writeHead(200, { 'content-type': file.type, 'cache-control': 'no-cache' });
      response.end(file.body);
      return;
    }
    const cookie = cookieOf(request);
    const nowMs = Date.now();
    if (url.pathname === '/api/login') {
      expectMethod(request, 'POST');
      return await this.#login(request, response, nowMs);
    }
    const found = this.#o.sessions.find(cookie, nowMs);
    const session = found !== undefined && isShown(request, url, found) ? found : undefined;
    if (url.pathname === '/api/session') {
      expectMethod(request, 'GET');
      const { cluster, needsLogin } = this.#o;
      return sendJson(response, { cluster, needsLogin, ...(session && about(session)) });
    }
    if (found !== undefined && session === undefined)
      throw new WebError(403, 'the request lacks what its page knows: log in again');
    if (session === undefined) throw new WebError(401, 'log in first');
    const changes = this.#changes[url.pathname];
    if (changes !== undefined) {
      expectMethod(request, 'POST');
      if (!isInHeader(request, session)) throw new WebError(403, 'show the secret of the page in the header');
      return await changes(session, await readJson(request), response, cookie);
    }
    const reads = this.#reads[url.pathname];
    if (reads === undefined) throw new WebError(404, 'there is nothing here');
    expectMethod(request, 'GET');
    await reads(session, Object.fromEntries(url.searchParams), response);
  }

  async #login(request: IncomingMessage, response: ServerResponse, nowMs: number): Promise<void> {
    const { logins, people, sessions, isSecure } = this.#o;
    const minute = Math.floor(nowMs / 60_000);
    if (this.#failures.minute !== minute) this.#failures = { minute, count: 0 };
    try {
      const login = checked(loginSchema, await readJson(request));
      // A token cannot be guessed, and is looked at here: strangers' failures keep nobody out who has one.
      if (!('token' in login) && this.#failures.count >= FAILURES_A_MINUTE)
        throw new WebError(429, 'too many failed logins: wait a minute, or come by a token (vkctl token)');
      const entrant = logins.enter(login, nowMs);
      const watch = await people.enter(entrant);
      if (watch === undefined) throw new WebError(503, 'too many people look at this cluster');
      const begun = sessions.begin(watch, entrant.untilMs, nowMs);
      if (begun === undefined) {
        people.left(watch);
        throw new WebError(503, 'too many sessions; log out elsewhere');
      }
      const flags = `HttpOnly; SameSite=Strict; Path=/${isSecure ? '; Secure' : ''}`;
      response.setHeader('set-cookie', `${COOKIE}=${begun.cookie}; ${flags}`);
      this.#o.log.info({ who: watch.who, role: watch.role }, 'somebody logged in');
      const { cluster, needsLogin } = this.#o;
      sendJson(response, { cluster, needsLogin, ...about(begun.session) });
    } catch (error) {
      this.#failures.count++;
      if (error instanceof LoginRefusal) throw new WebError(403, error.message);
      if (RpcError.is(error)) throw new WebError(403, `the cluster does not let you in: ${error.details}`);
      throw error;
    }
  }

  readonly #changes: Record<
    string,
    (session: Session, body: unknown, response: ServerResponse, cookie: string | undefined) => Promise<void>
  > = {
    '/api/logout': async (_session, _body, response, cookie) => {
      this.#o.sessions.end(cookie);
      response.setHeader('set-cookie', `${COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0`);
      sendJson(response, {});
    },
    '/api/kill': async ({ watch }, body, response) => {
      const { pid, signal } = checked(killSchema, body);
      await watch.cluster.programs.kill(pid, signal);
      this.#o.log.info({ who: watch.who, pid, signal }, 'a signal was sent');
      sendJson(response, {});
    },
  };

  readonly #reads: Record<
    string,
    (session: Session, query: Record<string, string>, response: ServerResponse) => Promise<void>
  > = {
    '/api/history': async ({ watch }, query, response) =>
      sendJson(response, watch.history.since(checked(historySchema, query).since)),
    '/api/bytes': async ({ watch }, query, response) => {
      const asked = checked(bytesSchema, query);
      this.#o.log.info({ who: watch.who, ...asked }, 'bytes were read');
      sendJson(response, await bytesJson(watch.cluster, asked));
    },
    '/api/feed': async (session, _query, response) =>
      this.#stream(session, response, async (stream, signal) => {
        const { watch } = session;
        const deltas = new Deltas();
        stream.send('events', watch.events);
        if (watch.rows !== undefined) stream.send('look', deltas.next(watch.rows));
        const stop = watch.listen((rows, events) => {
          if (rows !== undefined) stream.send('look', deltas.next(rows));
          if (events.length > 0) stream.send('events', events);
        });
        await aborted(signal);
        stop();
      }),
    '/api/field': async (session, query, response) => {
      const asked = checked(fieldSchema, query);
      await this.#stream(session, response, async (stream, signal) => {
        let last = '';
        while (!signal.aborted && stream.open) {
          const field = await fieldJson(session.watch.cluster, asked, signal);
          const text = JSON.stringify(field);
          if (text !== last) stream.send('field', field);
          last = text;
          await pause(FIELD_MS, signal);
        }
      });
    },
    '/api/hot': async (session, query, response) => {
      const asked = checked(hotSchema, query);
      await this.#stream(session, response, async (stream, signal) => {
        while (!signal.aborted && stream.open) {
          stream.send('hot', await hotRows(session.watch.cluster, asked.name, signal));
          await pause(HOT_MS, signal);
        }
      });
    },
    '/api/logs': async (session, query, response) => {
      const { pid } = checked(logsSchema, query);
      await this.#stream(session, response, async (stream, signal) => {
        const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
        const logs = session.watch.cluster.programs.logs(pid, { follow: true, signal });
        for await (const { stream: from, data, droppedBytes } of logs) {
          const cut = Math.max(0, data.length - LOG_BYTES);
          const text = decoders[from].decode(data.subarray(cut), { stream: true });
          stream.send('output', { from, text, dropped: Number(droppedBytes) + cut });
        }
        stream.send('end', {});
      });
    },
  };

  async #stream(
    session: Session,
    response: ServerResponse,
    run: (stream: EventStream, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    if (session.streams >= STREAMS_A_SESSION || this.streams >= STREAMS_MAX)
      throw new WebError(429, 'too many streams are open; close some windows');
    session.streams++;
    this.streams++;
    const closed = new AbortController();
    response.on('close', () => closed.abort());
    const stream = new EventStream(response);
    const signal = AbortSignal.any([closed.signal, session.over.signal]);
    try {
      await run(stream, signal);
    } catch (error) {
      if (!signal.aborted) stream.send('failed', { why: wordsOf(error) ?? 'the console failed' });
      if (!signal.aborted && wordsOf(error) === undefined)
        this.#o.log.error({ err: error }, 'a stream failed');
    } finally {
      session.streams--;
      this.streams--;
      stream.end();
    }
  }

  #refuse(response: ServerResponse, error: unknown): void {
    this.refusals++;
    if (response.headersSent) return void response.destroy();
    const status = error instanceof WebError ? error.status : RpcError.is(error) ? statusOf(error) : 500;
    const words = wordsOf(error);
    if (words === undefined) this.#o.log.error({ err: error }, 'a request failed');
    sendText(response, status, words ?? 'the console failed; see its log');
  }
}

function wordsOf(error: unknown): string | undefined {
  if (error instanceof WebError) return error.message;
  return RpcError.is(error) ? error.details : undefined;
}

function statusOf({ code }: RpcError): number {
  if (code === Code.PermissionDenied || code === Code.Unauthenticated) return 403;
  return code === Code.NotFound ? 404 : code === Code.InvalidArgument ? 400 : 502;
}

const about = ({ watch, csrf }: Session) => ({ who: watch.who, role: watch.role, csrf });

function secure(response: ServerResponse, isSecure: boolean): void {
  const policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; " +
    "frame-ancestors 'none'; base-uri 'none'";
  response.setHeader('content-security-policy', policy);
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('referrer-policy', 'no-referrer');
  response.setHeader('cross-origin-opener-policy', 'same-origin');
  response.setHeader('cross-origin-resource-policy', 'same-origin');
  if (isSecure) response.setHeader('strict-transport-security', 'max-age=31536000');
}

/** Browsers say where a request comes from; whoever does not say is no browser, and has no cookie of one. */
function expectSameOrigin({ headers, method }: IncomingMessage, own: string): void {
  const site = headers['sec-fetch-site'];
  const isOther = site !== undefined && site !== 'same-origin' && site !== 'none';
  const isLink = method === 'GET' && headers['sec-fetch-mode'] === 'navigate';
  if ((headers.origin !== undefined && headers.origin !== own) || (isOther && !isLink))
    throw new WebError(403, 'the request comes from another page');
}

/** In the query only where a browser gives no way to say a header: in streams. */
function isShown(request: IncomingMessage, url: URL, session: Session): boolean {
  return isInHeader(request, session) || isSame(url.searchParams.get('shown') ?? '', session.csrf);
}

function isInHeader({ headers }: IncomingMessage, { csrf }: Session): boolean {
  const shown = headers['x-odonata-csrf'];
  return typeof shown === 'string' && isSame(shown, csrf);
}

function expectMethod({ method }: IncomingMessage, wanted: 'GET' | 'POST'): void {
  if (method !== wanted) throw new WebError(405, `use ${wanted}`);
}

function cookieOf({ headers }: IncomingMessage): string | undefined {
  const found = headers.cookie?.split('; ').find((part) => part.startsWith(`${COOKIE}=`));
  return found?.slice(COOKIE.length + 1, COOKIE.length + 65);
}

function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const [issue] = error.issues;
  throw new WebError(400, `${issue?.path.join('.') || 'the request'}: ${issue?.message ?? 'cannot be used'}`);
}

const aborted = (signal: AbortSignal): Promise<void> =>
  signal.aborted
    ? Promise.resolve()
    : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  Promise.race([new Promise<void>((resolve) => setTimeout(resolve, ms).unref()), aborted(signal)]);
