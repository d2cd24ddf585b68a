import { SERVICES_OF_USER_MAX } from '@odonata/services/record.ts';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { EXIT, explainWithFix, Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { say, sayAside } from '../output.ts';
import { expectNoCircle } from '../service-file/circles.ts';
import { readServices } from '../service-file/service-file.ts';
import { programsOf, specOf } from '../service-file/wanted.ts';
import { type ClusterOption, clusterOption, collect, examples, jsonOption, quietOption } from './options.ts';
import { unplacedText } from './service-state.ts';

interface ApplyOptions extends ClusterOption {
  file?: string[];
  json?: boolean;
}

const NAMES_SHOWN = 5;
const EXAMPLE = `
A file:
  name: web
  program: ./web.wasm           # of the file's folder
  command: [--port, 8080]
  environment: { LANG: C }
  volumes: [./site:/site:ro]    # below a folder that is allowed
  listen: ["8080"]
  resources: { memory: 256M, cpus: 0.5 }
  restart: always               # no, on-failure:5
  depends_on: { db: { condition: service_healthy } }
  healthcheck: { test: [./probe.wasm], interval: 5s }
  replicas: 2
  placement: { max_replicas_per_node: 1 }`;

export function addApply(program: Command): void {
  const apply = program
    .command('apply')
    .summary('make services, or change them: the cluster keeps them running')
    .description(
      'Each instance of a service has a virtual kernel of its own, on any node. What a changed file says replaces the replicas ' +
        'one after the other, each once the one before is healthy. The same file again changes nothing.',
    )
    .requiredOption(
      '-f, --file <path>',
      'YAML, a service a document; - is standard input; may be repeated',
      collect,
    )
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(applyAll);
  examples(apply, [
    ['vkctl apply -f web.yaml', 'and "vkctl service rollout web" waits until it runs'],
    ['vkctl apply -f db.yaml -f web.yaml', 'several; each may wait for others'],
  ]).addHelpText('after', EXAMPLE);
}

/** Each is applied by itself: what came before it is. */
function notApplied(
  { file, name }: { file: string; name: string },
  before: readonly string[],
  cause: unknown,
): Failure {
  const stays = before.length === 0 ? '' : ` (applied before it: ${shownNames(before)})`;
  const { exitCode = EXIT.failed } = cause instanceof Failure ? cause : {};
  return new Failure(`${file}: service ${name}: ${explainWithFix(cause)}${stays}`, { exitCode, cause });
}

const shownNames = (names: readonly string[]): string =>
  names.length <= NAMES_SHOWN
    ? names.join(', ')
    : `${names.slice(0, NAMES_SHOWN).join(', ')} and ${names.length - NAMES_SHOWN} more`;

/** All of them, or none. @throws Failure */
function expectRoom(wanted: readonly string[], known: readonly string[]): void {
  const added = wanted.filter((name) => !known.includes(name)).length;
  if (added === 0 || known.length + added <= SERVICES_OF_USER_MAX) return;
  throw new Failure(
    `apply: ${added} more services are ${known.length + added} of yours, and ${SERVICES_OF_USER_MAX} are the most of one user: nothing is applied`,
    { fix: 'vkctl service rm removes some.' },
  );
}

async function applyAll({ file: files = [], ...options }: ApplyOptions): Promise<void> {
  // What is wrong in any of them is told before anything is changed.
  const wanted = files.flatMap((file) => readServices(file).map((form) => ({ file, form })));
  const twice = wanted.find(
    ({ form }, at) => wanted.findIndex((each) => each.form.name === form.name) !== at,
  );
  if (twice !== undefined)
    throw new Failure(`${twice.file}: service ${twice.form.name} is there twice`, {
      exitCode: EXIT.usage,
      fix: 'Give each a name of its own.',
    });
  expectNoCircle(wanted);
  const whole = wanted.map((each) => ({ ...each, programs: programsOf(each.form, each.file) }));
  const applied = await withCluster(options, async ({ services }) => {
    expectRoom(
      wanted.map(({ form }) => form.name),
      (await services.own()).map(({ name }) => name),
    );
    const done = [];
    for (const { file, form, programs } of whole) {
      const { name, replicas } = form;
      try {
        const spec = await specOf(form, file, programs, (program) => services.putProgram(program));
        const { created, changed, generation, unplaced } = await services.apply({ name, spec, replicas });
        done.push({ name, outcome: created ? 'created' : changed ? 'changed' : 'unchanged', generation });
        const none = unplacedText({ unplaced });
        if (none !== undefined) sayAside(`vkctl: ${file}: service ${name}: ${none}`);
      } catch (error) {
        throw notApplied(
          { file, name },
          done.map((each) => each.name),
          error,
        );
      }
    }
    return done;
  });
  if (options.json) printJson(applied);
  else for (const { name, outcome } of applied) say(`service ${name} is ${outcome}`);
}
