// Loaded into a router: says on SIGUSR2 how many bytes JavaScript has copied in large pieces.
const LARGE_BYTES = 8 * 1024;
let bytes = 0;
const count = (length: number): void => {
  if (length >= LARGE_BYTES) bytes += length;
};
const { set, slice } = Uint8Array.prototype;
const { copy } = Buffer.prototype;
const { concat, from } = Buffer;
Uint8Array.prototype.set = function (source: ArrayLike<number>, at?: number) {
  count(source.length);
  set.call(this, source, at);
};
Uint8Array.prototype.slice = function (start?: number, end?: number) {
  const part = slice.call(this, start, end) as Uint8Array<ArrayBuffer>;
  count(part.length);
  return part;
};
Buffer.prototype.copy = function (...args: Parameters<typeof copy>) {
  const copied = copy.apply(this, args);
  count(copied);
  return copied;
};
Buffer.concat = (list, length?: number) => {
  const whole = concat(list, length);
  count(whole.length);
  return whole;
};
Buffer.from = ((...args: unknown[]) => {
  if (args[0] instanceof Uint8Array) count(args[0].length);
  return (from as (...args: unknown[]) => Buffer)(...args);
}) as typeof from;
process.on('SIGUSR2', () => console.log(JSON.stringify({ copied: bytes })));
