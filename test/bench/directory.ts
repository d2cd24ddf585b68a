import { throughput } from './directory/throughput.ts';
import { placeOf } from './directory/holders.ts';
import type { Part } from './part.ts';

export const directory: Part = {
  title: 'Directory',
  nodes: () => 1,
  async run(setting) {
    const t = await throughput(setting, placeOf(setting.to));
    return { figures: t.figures, tables: [t.table], measured: { throughput: t.measured } };
  },
};
