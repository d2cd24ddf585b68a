// A cluster did not start: a tool of the distribution that does not work is told of in its own words, for what it was to start has no
// log then.
import { Failure } from '../failure.ts';

export async function withToolTrouble(failure: Failure): Promise<Failure> {
  // Only here: most clusters start.
  const { checkNats, checkSetpriv } = await import('../doctor/machine.ts');
  const trouble = [checkNats(), checkSetpriv()].find(({ ok }) => !ok);
  if (trouble === undefined) return failure;
  const { name, detail, fix } = trouble;
  const message = `${name} does not work: ${detail.trim()}`;
  const { exitCode, cause } = failure;
  return new Failure(message, { fix: `Mend it: ${fix}; see vkctl doctor`, exitCode, cause });
}
