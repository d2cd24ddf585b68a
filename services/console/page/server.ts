// The service's side, as this page sees it.

import type { Delta, EventRow } from '../feed.ts';
import type { FieldJson } from '../field.ts';
import type { Point } from '../history.ts';
import type { HotRow } from '../hot.ts';

export interface Who {
  cluster: string;
  needsLogin: boolean;
  who?: string;
  role?: string;
  csrf?: string;
}

/** Of this origin alone, unlike the cookie, which goes to all ports of the host. */
const KEPT_AS = 'odonata-console';
let csrf = localStorage.getItem(KEPT_AS) ?? '';

async function answer<T>(response: Response): Promise<T> {
  if (!response.ok)
    throw new Error((await response.text()).trim() || `the console answers ${response.status}`);
  return (await response.json()) as T;
}

const kept = (who: Who): Who => {
  csrf = who.csrf ?? '';
  localStorage.setItem(KEPT_AS, csrf);
  return who;
};

const post = async <T>(path: string, body: object): Promise<T> =>
  answer<T>(
    await fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-odonata-csrf': csrf },
      body: JSON.stringify(body),
    }),
  );

const get = async <T>(path: string): Promise<T> =>
  answer<T>(await fetch(path, { headers: { 'x-odonata-csrf': csrf } }));

export const session = async (): Promise<Who> => kept(await get<Who>('/api/session'));
export const login = async (by: object): Promise<Who> => kept(await post<Who>('/api/login', by));
export const logout = (): Promise<object> => post('/api/logout', {});
export const kill = (pid: string, signal: 'SIGTERM' | 'SIGKILL'): Promise<object> =>
  post('/api/kill', { pid, signal });
export const history = (since: number): Promise<Point[]> => get<Point[]>(`/api/history?since=${since}`);

export async function bytes(name: string, offset: number, length: number): Promise<Uint8Array> {
  const query = new URLSearchParams({ name, offset: `${offset}`, length: `${length}` });
  const { hex } = await get<{ hex: string }>(`/api/bytes?${query}`);
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) =>
    Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16),
  );
}

/** Listens to a stream until the function that it returns is called. It comes again by itself. */
function stream(
  path: string,
  kinds: Record<string, (value: never) => void>,
  state?: (open: boolean) => void,
) {
  const source = new EventSource(`${path}${path.includes('?') ? '&' : '?'}shown=${csrf}`);
  for (const [kind, take] of Object.entries(kinds))
    source.addEventListener(kind, (event) => take(JSON.parse((event as MessageEvent<string>).data) as never));
  source.addEventListener('open', () => state?.(true));
  source.addEventListener('error', () => state?.(false));
  return () => source.close();
}

export const feed = (take: {
  look: (delta: Delta) => void;
  events: (rows: EventRow[]) => void;
  state: (open: boolean) => void;
}) => stream('/api/feed', { look: take.look, events: take.events }, take.state);

export interface Range {
  name: string;
  first: number;
  pages: number;
}

export function field(
  { name, first, pages }: Range,
  cells: number,
  take: (field: FieldJson) => void,
  failed: (why: string) => void,
) {
  const query = new URLSearchParams({ name, first: `${first}`, pages: `${pages}`, cells: `${cells}` });
  return stream(`/api/field?${query}`, { field: take, failed: ({ why }: { why: string }) => failed(why) });
}

export function hot(name: string, take: (rows: HotRow[]) => void, failed: (why: string) => void) {
  const query = new URLSearchParams({ name });
  return stream(`/api/hot?${query}`, { hot: take, failed: ({ why }: { why: string }) => failed(why) });
}

export function logs(
  pid: string,
  take: (text: string, dropped: number) => void,
  over: (why?: string) => void,
) {
  const close = stream(`/api/logs?pid=${pid}`, {
    output: ({ text, dropped }: { text: string; dropped: number }) => take(text, dropped),
    end: () => over(),
    failed: ({ why }: { why: string }) => over(why),
  });
  return close;
}
