// The identity of this process: what it serves with, and what it calls with.
import { TlsFolder } from './tls-folder.ts';

let own: TlsFolder | undefined;
let given: string | undefined;

/**
 * From now on servers and channels that are made in this process have the identity in this folder; empty: none.
 * @throws Error where the folder holds none
 */
export function useTls(dir: string): void {
  own = dir === '' ? undefined : new TlsFolder(dir);
}

/** From now on calls on unix sockets show this token, which somebody else made for this process. */
export function useToken(token: string): void {
  given = token === '' ? undefined : token;
}

export const ownToken = (): string | undefined => given;

export const ownFolder = (): TlsFolder | undefined => own;
