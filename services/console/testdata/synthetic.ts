// In the page, before its own script: a service that tells of 100 nodes, 10,000 processes and a 64 GiB dataspace, of which
// a part changes at each look. It takes the place of the two ways in: fetch and EventSource.
const [NODES, PROCESSES] = [100, 10_000] as const;
const BYTES = 64 * 2 ** 30;

export function synthetic({
  nodes,
  processes,
  bytes,
}: {
  nodes: number;
  processes: number;
  bytes: number;
}): void {
  const name = (at: number) => `node${(at % nodes) + 1}`;
  let turn = 0;
  const process = (at: number) => ({
    pid: `${((at % nodes) + 1) * 100_000 + Math.floor(at / nodes)}`,
    ...{
      node: name(at),
      vkernel: 'default',
      user: `user${at % 7}`,
      state: 'running',
      command: `worker.wasm part ${at}`,
    },
    ...{
      cpu: (at * 7 + turn * 13) % 100,
      resident: 100 + ((at + turn) % 900),
      shared: at % 64,
      waits: at % 97 === 0 ? 1 : 0,
    },
  });
  const look = (changed: number) => ({
    ...{ cluster: 'synthetic', atMs: Date.now(), silent: [], ended: [] },
    nodes: Array.from({ length: nodes }, (_, at) => ({
      ...{
        name: name(at),
        answers: true,
        frames: 1_000_000,
        private: 300_000 + ((at * 997 + turn * 631) % 400_000),
        shared: 20_000,
      },
      ...{ pagesIn: (at * 3 + turn) % 200, pagesOut: (at * 5 + turn) % 200, invalidations: turn % 50 },
      ...{ processes: processes / nodes, waiting: 1, vkernels: [['default', 'root', processes / nodes]] },
      faults: {
        vkernel: [900 + ((at + turn) % 99), 60, 210],
        node: [40, 300, 900],
        remote: [12, 700, 2_500],
        upgrade: [3, 650, 2_000],
      },
    })),
    dataspaces: Array.from({ length: 40 }, (_, at) => ({
      ...{
        name: `space${at}`,
        owner: 'root',
        bytes,
        moved: (at + turn) % 50,
        lost: 0,
        locks: at % 5,
        mappedBy: ['node1'],
      },
      owned: Object.fromEntries(Array.from({ length: nodes }, (_, n) => [name(n), 1_000 + n])),
    })),
    processes: Array.from({ length: changed }, (_, at) => process((at * 3 + turn) % processes)),
    directory: { acquires: 900, grants: 900, recalls: 40, invalidations: 60 },
  });
  const all = () => ({ ...look(0), processes: Array.from({ length: processes }, (_, at) => process(at)) });
  const field = (cells: number) => ({
    ...{
      first: 0,
      pages: bytes / 4_096,
      per: bytes / 4_096 / cells,
      nodes: Array.from({ length: nodes }, (_, at) => name(at)),
    },
    owner: Array.from({ length: cells }, (_, at) => ((at + (at % 50 === turn % 50 ? turn : 0)) % nodes) + 1),
    exclusive: Array.from({ length: cells }, (_, at) => (at % 3 === 0 ? 0 : 8_000)),
    shared: Array.from({ length: cells }, (_, at) => (at % 3 === 0 ? 8_000 : 0)),
    lost: Array.from({ length: cells }, () => 0),
    changing: Array.from({ length: cells }, (_, at) => (at % 61 === turn % 61 ? 1 : 0)),
    ...{ sampled: false, incomplete: false },
  });
  const points = Array.from({ length: 720 }, (_, at) => ({
    ...{
      atMs: Date.now() - (720 - at) * 5_000,
      pagesIn: 100 + (at % 40),
      pagesOut: 90 + (at % 33),
      invalidations: at % 30,
    },
    ...{
      faults: { vkernel: 90_000 + at * 9, node: 4_000, remote: 1_200 + (at % 90), upgrade: 300 },
      processes,
      usedBytes: 4e10 + at * 1e7,
      nodes: {},
    },
  }));
  const asJson = (value: unknown) => Promise.resolve(new Response(JSON.stringify(value)));
  window.fetch = (path) => {
    const where = String(path);
    if (where.startsWith('/api/history')) return asJson(where.endsWith('=0') ? points : []);
    return asJson({ cluster: 'synthetic', needsLogin: false, who: 'root', role: 'admin', csrf: 'x' });
  };
  class Feed extends EventTarget {
    #timer: ReturnType<typeof setInterval>;
    constructor(path: string) {
      super();
      const say = (kind: string, value: unknown) =>
        this.dispatchEvent(new MessageEvent(kind, { data: JSON.stringify(value) }));
      const cells = Number(new URL(path, location.href).searchParams.get('cells'));
      const isField = path.startsWith('/api/field');
      const first = () => (isField ? say('field', field(cells)) : say('look', all()));
      // The making of what is told is no work of the page: it is made in steps beside what is measured.
      setTimeout(first, 50);
      let next: string | undefined;
      this.#timer = setInterval(
        () => {
          if (next === undefined) {
            turn++;
            next = JSON.stringify(isField ? field(cells) : look(1_000));
            return;
          }
          this.dispatchEvent(new MessageEvent(isField ? 'field' : 'look', { data: next }));
          next = undefined;
        },
        isField ? 200 : 500,
      );
    }
    close() {
      clearInterval(this.#timer);
    }
  }
  Object.assign(window, { EventSource: Feed });
}

export const SIZE = { nodes: NODES, processes: PROCESSES, bytes: BYTES };
