import { connect } from 'node:net';
import { splitAddress } from './address.ts';

/** True where somebody listens: on `unix:/path`, or `host:port` of this machine. */
export function isListening(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = address.startsWith('unix:')
      ? connect(address.slice('unix:'.length))
      : connect(splitAddress(address));
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
