// Faults: what an access costs that the pmap does not allow, by the place that serves it, beside an echo of one page
// over plain grpc-js in the same run.
//
// One figure for each place, so each place has a node of its own, whose statistics then are this place's alone.

import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { EchoYardstick } from './echo.ts';
import { faultDetail } from './fault-detail.ts';
import { firstFaultsTable, presentFaults } from './fault-report.ts';
import type { FaultResult } from './fault-result.ts';
import { nodesFrom, play, scenes } from './fault-scenes.ts';
import type { Part } from './part.ts';
import { rareFaults, rareTable } from './rare-faults.ts';
import { chainTable, rawChains } from './raw-chain.ts';

/** A path that runs for the first times is not compiled. */
const WARM_UP_ROUNDS = 8;

export const faults: Part = {
  title: 'Faults: beside the echo of a page over plain grpc-js',
  nodes: (quick) => (quick ? 4 : 10),
  async run(setting) {
    const yardstick = new EchoYardstick(setting, PAGE_BYTES);
    const nodes = (await setting.to.nodes()).map(({ name }) => name);
    const results: FaultResult[] = [];
    /** Of the first rounds. */
    const fresh: FaultResult[] = [];
    const all = scenes(setting);
    await yardstick.measure('before');
    for (const [i, scene] of all.entries()) {
      if (i === all.length >> 1) await yardstick.measure('between');
      setting.progress(scene.kind.name);
      // Node i first, the others after it: each scene has a node of its own.
      const order = nodesFrom(nodes, i);
      for (let round = 0; !setting.quick && round < WARM_UP_ROUNDS; round++) {
        const result = await play(setting, scene, order);
        if (round === 0) fresh.push(result);
      }
      results.push(await play(setting, scene, order));
    }
    await yardstick.measure('after');
    const chains = await rawChains(setting);
    const rare = await rareFaults(setting, nodes);
    const echo = yardstick.result();
    const presented = presentFaults(results, echo);
    const bounds = chainTable(chains, results, echo.echo.unix.p50Us);
    const first = fresh.length > 0 ? [firstFaultsTable(fresh)] : [];
    const tables = [...presented.tables, bounds, rareTable(rare, { faults: results, chains }), ...first];
    const measured = { ...presented.measured, chains, rare, fresh };
    if (!setting.profile) return { ...presented, tables, measured };
    const detail = await faultDetail(setting, all, nodes);
    return {
      ...presented,
      tables: [...tables, ...detail.tables],
      measured: { ...measured, ...detail.measured },
    };
  },
};
