#!/usr/bin/env node
// Entry of the package: for clusters that run elsewhere. What starts services of this machine needs their files, which a checkout has.
const NEED_A_CHECKOUT = new Set(['up', 'join', 'restart', 'doctor', 'console']);
const [, , command = '', ...rest] = process.argv;

if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(`vkctl: Node ${process.version} is too old. Use Node 24 or later.`);
  process.exit(1);
}
if (NEED_A_CHECKOUT.has(command) && !rest.some((word) => word === '--help' || word === '-h')) {
  console.error(
    `vkctl: "vkctl ${command}" runs services of this machine, which this package does not have. Use a checkout, or a cluster elsewhere: vkctl context add FILE`,
  );
  process.exit(1);
}
await import('./main.ts');
