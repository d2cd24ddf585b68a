/**
 * node:wasi without its warning that it is experimental: that would stand among the program's own output. The warning
 * comes once, when the module is loaded.
 */
const { emitWarning } = process;
process.emitWarning = () => undefined;
const { WASI } = await import('node:wasi');
process.emitWarning = emitWarning;

export { WASI };
