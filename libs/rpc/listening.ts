import { connect } from 'node:net';
import { isUnix, pathOf, splitAddress } from './address.ts';

/** True where somebody listens: on `unix:/path`, or `host:port` of this machine. */
export function isListening(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = isUnix(address) ? connect(pathOf(address)) : connect(splitAddress(address));
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
