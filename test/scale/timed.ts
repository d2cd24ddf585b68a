// Operations that are timed, some of them at a time.

export async function timedNs(work: () => Promise<unknown>): Promise<number> {
  const startNs = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - startNs);
}

/** Does `work` so often, with so many under way. */
export async function together(times: number, underWay: number, work: () => Promise<void>): Promise<void> {
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < times) {
      begun++;
      await work();
    }
  };
  await Promise.all(Array.from({ length: underWay }, worker));
}

/** One after another, or all at once. */
export async function inTurnOrAtOnce(
  works: readonly (() => Promise<unknown>)[],
  inTurn: boolean,
): Promise<void> {
  if (inTurn) for (const work of works) await work();
  else await Promise.all(works.map((work) => work()));
}
