// What grpc-js says of a call that its server did not answer, in words for people: who, and what is wrong with the way
// there. The text of a server passes as it is.
import { getSystemErrorMap } from 'node:util';

/** Whom a call is for. */
export interface Callee {
  /** `odonata.pmap.v1.PmapService/GetNodeStats`, with or without a slash before it. */
  readonly path: string;
  /** `127.0.0.1:7411`, `dns:127.0.0.1:7411`, `unix:/path`. */
  readonly address: string;
}

/** Words of an errno's name, for people who look at a network. */
const ERRNO_WORDS: Record<string, string> = {
  ECONNREFUSED: 'refused',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name cannot be looked up now',
  ENOENT: 'no such socket',
};

/** OpenSSL says of a certificate that its authority is not the one we know. */
export const isStrange = ({ details }: { readonly details: string }): boolean =>
  /self-signed certificate|unable to (verify|get)|certificate signature failure/.test(details);

/** `GetNodeStats` */
export const methodOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** `5 s`, `1.5 s`, `40 ms` */
export const span = (ms: number): string =>
  ms < 1000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`;

/** Who did not answer, within which time, to what. */
export const noAnswer = (who: string, ms: number, path: string): string =>
  `${who} did not answer within ${span(ms)} (${methodOf(path)})`;

export function inPlainWords(details: string, callee: Callee): string {
  const address = callee.address.replace(/^(dns|ipv4|ipv6):(\/\/\/)?/, '');
  const late = /^Deadline exceeded(?: after ([\d.]+)s(.*))?$/s.exec(details);
  if (late !== null) {
    const [, seconds, rest = ''] = late;
    const within = seconds === undefined ? ' in time' : ` within ${span(Number(seconds) * 1000)}`;
    if (rest.includes('Waiting for LB pick')) return `cannot connect to ${address}${within}`;
    return `${address} did not answer${within} (${methodOf(callee.path)})`;
  }
  const unconnected = /^No connection established\. Last error: (.*?)\. Resolution note: .*$/s.exec(details);
  if (unconnected !== null) return `cannot connect to ${address}: ${reasonIn(unconnected[1]!)}`;
  if (/^Name resolution failed for target /.test(details))
    return `cannot connect to ${address}: no such host`;
  if (
    /^(Connection dropped|Stream refused by server|Call cancelled|No status information received)$/.test(
      details,
    )
  )
    return `the connection to ${address} broke`;
  if (
    /^(read|write) E[A-Z]+$|^(Write error|Write failed with error|Failed to start HTTP\/2 stream)/.test(
      details,
    )
  )
    return `the connection to ${address} broke: ${reasonIn(details)}`;
  const reset = /^Received RST_STREAM with code (\d+)/.exec(details);
  if (reset !== null) return `the connection to ${address} broke (HTTP/2 code ${reset[1]})`;
  const status = /^Received HTTP status code (\d+)$/.exec(details);
  if (status !== null) return `${address} is no service of Odonata: it answers with HTTP status ${status[1]}`;
  return details;
}

/** `Error: connect ECONNREFUSED 127.0.0.1:9` -> `refused` */
function reasonIn(error: string): string {
  const errno = /\b(E[A-Z_]{3,})\b/.exec(error)?.[1];
  if (errno === undefined) {
    const said = error
      .replace(/^(\w*Error: )+/, '')
      .replace(/\s+/g, ' ')
      .trim();
    return said === '' || said === 'null' ? 'no answer' : said;
  }
  const known = ERRNO_WORDS[errno];
  if (known !== undefined) return known;
  for (const [name, words] of getSystemErrorMap().values()) if (name === errno) return words;
  return errno;
}
