import { odonata } from '@odonata/guest/module/odonata.ts';
import { PmapError } from '@odonata/pmap/pmap-interface.ts';
import { afterAll, describe, expect, test } from 'vitest';
import { compileC, hasClang } from './testdata/programs.ts';
import { eventually, TestMachine } from './testdata/run-process.ts';
import { Errno } from './wasi/errno.ts';

const machine = new TestMachine();
afterAll(() => machine.close());

const header = new URL('../../../libs/guest', import.meta.url).pathname;

test("its description's errors are those of WASI, by name and number", () => {
  const { OK, ...errors } = odonata.errors.values;
  expect(OK.value).toBe(0);
  const numberOf = (name: string): number | undefined =>
    new Map<string, number>(Object.entries(Errno)).get(name.slice(1).toLowerCase());
  for (const [name, { value }] of Object.entries(errors))
    expect([name, value]).toEqual([name, numberOf(name)]);
  for (const about of Object.values(odonata.functions))
    if ('errors' in about)
      for (const name of Object.keys(about.errors))
        expect([name, numberOf(name)]).toEqual([name, expect.any(Number)]);
});

describe.skipIf(!hasClang)('the import module odonata', () => {
  const module = hasClang ? compileC('shared', `-I${header}`) : new Uint8Array();

  test('dataspaces, locks, waits, identities', async () => {
    const run = machine.run(module);
    const exit = await run.exited;
    expect(run.stdout()).toBe('0 failures\n');
    expect(exit.code).toBe(0);
    expect(run.troubles).toEqual([]);
    expect(machine.pmap.spaces.at(-1)!.maps).toMatchObject([
      { lengthBytes: 4096, dataspace: 1n, writable: false },
    ]);
  });

  test('one that waits is woken by another', async () => {
    const run = machine.run(module, { args: ['wait'] });
    await eventually(run.stdout).toMatch(/^waiting at \d+\n$/);
    const address = Number(run.stdout().match(/\d+/)![0]);
    const space = machine.pmap.spaces.at(-1)!;
    await eventually(() => space.wake(address, 1)).toBe(1);
    expect(await run.exited).toMatchObject({ code: 0, reason: '' });
  });

  test('one that waits can be killed, and its wait is cancelled', async () => {
    const run = machine.run(module, { args: ['wait'] });
    await eventually(run.stdout).toMatch(/^waiting at \d+\n$/);
    await eventually(() => machine.pmap.sleepers).toBe(1);
    await run.process.kill('SIGTERM');
    expect((await run.exited).code).toBe(143);
    expect(machine.pmap.sleepers).toBe(0);
    expect(await machine.pmap.spaces.at(-1)!.wake(Number(run.stdout().match(/\d+/)![0]), 1)).toBe(0);
  });

  test('an error that is none of the pmap is EIO for the program, and told to the log', async () => {
    const create = machine.pmap.createSpace.bind(machine.pmap);
    machine.pmap.createSpace = async (options) => {
      const space = await create(options);
      return Object.assign(space, {
        wait: async () => {
          throw options.pid % 2n === 0n ? new Error('the line broke') : new PmapError(48, 'no memory');
        },
      });
    };
    const runs = [
      machine.run(module, { args: ['wait'], pid: 100n }),
      machine.run(module, { args: ['wait'], pid: 101n }),
    ];
    expect((await runs[0]!.exited).code).toBe(29);
    expect(runs[0]!.troubles).toEqual(['wait_register failed Error: the line broke']);
    expect((await runs[1]!.exited).code).toBe(48);
    expect(runs[1]!.troubles).toEqual([]);
  });
});
