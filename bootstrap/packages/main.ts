// npm run packages: `@odonata/client` and `@odonata/vkctl` as packages in build/packages, of built JavaScript with declarations. Node
// runs no TypeScript below node_modules, so what a checkout runs as it is must be built to be installed.
import { fileURLToPath } from 'node:url';
import { makePackages } from './make.ts';

const out = process.argv[2] ?? fileURLToPath(new URL('../../build/packages', import.meta.url));
for (const file of await makePackages(out)) console.log(file);
