// Loaded into a router before its own code (node --expose-gc --import): a signal makes it collect its garbage and say what it has.
const collect = (globalThis as { gc?: () => void }).gc!;
process.on('SIGUSR2', () => {
  // Twice: what a finalizer lets go of is collected by the second one.
  collect();
  setImmediate(() => {
    collect();
    const { rss, heapUsed, external } = process.memoryUsage();
    console.log(JSON.stringify({ rss, heapUsed, external }));
  });
});
