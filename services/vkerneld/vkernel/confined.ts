// The first code of ours in a virtual kernel: reads its settings, gives up what only the start took, and runs the program. From
// here on this process makes threads, and no processes, and speaks by the sockets that it finds.
import { closeSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { installFilter } from '@odonata/userfault/sandbox/install-filter.ts';
import { SETTINGS_FD, type Settings } from '@odonata/userfault/sandbox/settings.ts';

const [program = ''] = process.argv.splice(2, 1);
const { filter, logs, environment } = JSON.parse(readFileSync(SETTINGS_FD, 'utf8')) as Settings;
closeSync(SETTINGS_FD);
if (filter !== '') installFilter(Buffer.from(filter, 'base64'), { logs });
// Of this process' own memory: /proc/self/environ does not show it.
Object.assign(process.env, environment);
await import(pathToFileURL(program).href);
