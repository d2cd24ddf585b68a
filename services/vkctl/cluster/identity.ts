// Signals to exactly one process: by what libs/client knows it by.
import { type Identity, isAlive } from '@odonata/client/local/process-identity.ts';

export {
  type Identity,
  identify,
  identitySchema,
  isAlive,
} from '@odonata/client/local/process-identity.ts';

/** Sends a signal to exactly this process; false when it is gone. */
export function signalIdentity(identity: Identity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}
