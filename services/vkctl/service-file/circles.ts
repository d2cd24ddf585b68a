// Services of one call that would wait for each other: told before any of them is made.
import { EXIT, Failure } from '../failure.ts';
import type { ServiceForm } from './form.ts';

/** Those that are there already the cluster knows, and looks at them, too. @throws Failure */
export function expectNoCircle(wanted: readonly { file: string; form: ServiceForm }[]): void {
  const byName = new Map(wanted.map((each) => [each.form.name, each]));
  const done = new Set<string>();
  const visit = (name: string, way: readonly string[]): void => {
    const known = byName.get(name);
    if (known === undefined || done.has(name)) return;
    const from = way.indexOf(name);
    if (from >= 0) {
      const circle = [...way.slice(from), name].join(' -> ');
      throw new Failure(`${known.file}: service ${name}: depends_on: it would wait for itself: ${circle}`, {
        exitCode: EXIT.usage,
        fix: 'Take one of them out.',
      });
    }
    for (const { service } of known.form.depends_on) visit(service, [...way, name]);
    done.add(name);
  };
  for (const name of byName.keys()) visit(name, []);
}
